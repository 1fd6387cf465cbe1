-- See ../sqlite/0006_removed_quotes.sql.
ALTER TABLE quote ADD COLUMN removed bigint;
CREATE INDEX quote_removed ON quote (removed) WHERE removed IS NOT NULL;
