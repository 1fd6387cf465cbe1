-- See ../sqlite/0017_webhooks.sql.
CREATE TABLE webhook (
    subscriber_id bigint PRIMARY KEY,
    key           text NOT NULL UNIQUE,       -- its public id
    made_by       bigint,                    -- the account that answers for its url; none: the operator
    reason        text                        -- why it is disabled: gone, failing
);
-- A room that fails is tried again later, and does not hold up the others, so each has its own count.
ALTER TABLE subscriber DROP COLUMN failures;
ALTER TABLE subscriber DROP COLUMN failing_since;
ALTER TABLE subscriber DROP COLUMN try_at;
ALTER TABLE subscribed ADD COLUMN failures bigint NOT NULL DEFAULT 0;
ALTER TABLE subscribed ADD COLUMN failing_since bigint;
ALTER TABLE subscribed ADD COLUMN try_at bigint;
ALTER TABLE delivery ADD COLUMN error text;   -- why there is no status: timeout, reset, tls
