-- Webhooks: subscribers that this server calls by itself.
CREATE TABLE webhook (
    subscriber_id INTEGER PRIMARY KEY,
    key           TEXT NOT NULL UNIQUE,       -- its public id
    made_by       INTEGER,                    -- the account that answers for its url; none: the operator
    reason        TEXT                        -- why it is disabled: gone, failing
) STRICT;
-- A room that fails is tried again later, and does not hold up the others, so each has its own count.
ALTER TABLE subscriber DROP COLUMN failures;
ALTER TABLE subscriber DROP COLUMN failing_since;
ALTER TABLE subscriber DROP COLUMN try_at;
ALTER TABLE subscribed ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subscribed ADD COLUMN failing_since INTEGER;
ALTER TABLE subscribed ADD COLUMN try_at INTEGER;
ALTER TABLE delivery ADD COLUMN error TEXT;   -- why there is no status: timeout, reset, tls
