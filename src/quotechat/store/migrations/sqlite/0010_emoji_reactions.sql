-- Reactions with any emoji: who added which, and the counts beside the message.
ALTER TABLE event ADD COLUMN emoji TEXT;      -- with it, `reaction` is 1 if it was added and 0 if it was taken back
ALTER TABLE message ADD COLUMN reactions TEXT; -- counts by emoji, as JSON; NULL if there are none
CREATE TABLE emoji_reaction (
    room_id    INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    identity   TEXT NOT NULL,
    emoji      TEXT NOT NULL,
    PRIMARY KEY (room_id, message_id, identity, emoji)
) STRICT, WITHOUT ROWID;
