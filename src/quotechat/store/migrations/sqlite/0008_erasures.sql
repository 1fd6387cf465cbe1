-- Accounts whose messages are being deleted (store/maintenance/erasing.py), and how far that has come: message
-- `message_id` of the room of that name. With `nameless` the messages lose the name of their author too.
CREATE TABLE erasure (
    account_id  INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    nameless    INTEGER NOT NULL,
    moderated   INTEGER NOT NULL,
    room        TEXT NOT NULL DEFAULT '',
    message_id  INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- 1 if the name of the author goes too.
ALTER TABLE redaction ADD COLUMN nameless INTEGER NOT NULL DEFAULT 0;
