-- Accounts whose messages are being deleted (store/maintenance/erasing.py), and how far that has come: message
-- `message_id` of the room of that name. With `nameless` the messages lose the name of their author too.
CREATE TABLE erasure (
    account_id  bigint PRIMARY KEY,
    at          bigint NOT NULL,
    nameless    bigint NOT NULL,
    moderated   bigint NOT NULL,
    room        text NOT NULL DEFAULT '',
    message_id  bigint NOT NULL DEFAULT 0,
    lease_until bigint NOT NULL DEFAULT 0
);

-- 1 if the name of the author goes too.
ALTER TABLE redaction ADD COLUMN nameless bigint NOT NULL DEFAULT 0;
