-- Messages whose words stand in the log still (store/maintenance/redaction.py), and how far that has come: event `seq`
-- of the message `holder`, which is the one that goes or a reply to it.
CREATE TABLE redaction (
    room_id    INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    holder     INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (room_id, message_id)
) STRICT, WITHOUT ROWID;

-- How often a message was edited, from this version on.
ALTER TABLE message ADD COLUMN edits INTEGER NOT NULL DEFAULT 0;
