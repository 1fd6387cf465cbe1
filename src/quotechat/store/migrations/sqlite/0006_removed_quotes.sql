-- The seq of the event that removed a quote; its row stays, so that its number is not given again.
ALTER TABLE quote ADD COLUMN removed INTEGER;
CREATE INDEX quote_removed ON quote (removed) WHERE removed IS NOT NULL;
