-- See ../sqlite/0004_redaction.sql.
CREATE TABLE redaction (
    room_id    bigint NOT NULL,
    message_id bigint NOT NULL,
    holder     bigint NOT NULL,
    seq        bigint NOT NULL,
    PRIMARY KEY (room_id, message_id)
);

ALTER TABLE message ADD COLUMN edits bigint NOT NULL DEFAULT 0;

-- In order, as SQLite has them: a redaction goes through them in parts.
DROP INDEX event_target;
CREATE INDEX event_target ON event (room_id, target, seq) WHERE target IS NOT NULL;
DROP INDEX message_reply;
CREATE INDEX message_reply ON message (room_id, reply_to, id) WHERE reply_to IS NOT NULL;
