-- See ../sqlite/0010_emoji_reactions.sql.
ALTER TABLE event ADD COLUMN emoji text;
ALTER TABLE message ADD COLUMN reactions text;
CREATE TABLE emoji_reaction (
    room_id    bigint NOT NULL,
    message_id bigint NOT NULL,
    identity   text COLLATE "C" NOT NULL,
    emoji      text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_id, message_id, identity, emoji)
);
