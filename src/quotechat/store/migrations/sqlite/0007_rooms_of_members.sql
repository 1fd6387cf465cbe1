-- Kinds of rooms, their settings, and counts by which a reader knows how much is new.
ALTER TABLE room ADD COLUMN kind TEXT NOT NULL DEFAULT 'open';        -- open, closed, direct, log
ALTER TABLE room ADD COLUMN about TEXT NOT NULL DEFAULT '{}';         -- topic, posting, slow, default, archived
ALTER TABLE room ADD COLUMN last INTEGER NOT NULL DEFAULT 0;          -- the newest message that is not deleted
ALTER TABLE room ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;      -- sent so far
ALTER TABLE room ADD COLUMN floor_messages INTEGER NOT NULL DEFAULT 0; -- of these, kept no longer
ALTER TABLE room ADD COLUMN news INTEGER NOT NULL DEFAULT 0;          -- moves with events that can change an inbox
-- Of the newest event; a hint. Without an index, since every commit would have to write that too.
ALTER TABLE room ADD COLUMN moved_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN pair BLOB;                                -- direct: digest of its people's public ids
CREATE UNIQUE INDEX room_pair ON room (pair) WHERE pair IS NOT NULL;
ALTER TABLE message ADD COLUMN n INTEGER NOT NULL DEFAULT 0;          -- its number among the room's messages

UPDATE message SET n = counted.n FROM
    (SELECT room_id, id, row_number() OVER (PARTITION BY room_id ORDER BY id) AS n FROM message) AS counted
    WHERE message.room_id = counted.room_id AND message.id = counted.id;
UPDATE room SET
    messages = (SELECT count(*) FROM message m WHERE m.room_id = room.id),
    last = coalesce((SELECT max(m.id) FROM message m WHERE m.room_id = room.id AND m.deleted IS NULL), 0),
    moved_at = coalesce((SELECT e.at FROM event e WHERE e.room_id = room.id AND e.seq = room.head), created_at);

CREATE TABLE member (
    account_id  INTEGER NOT NULL,
    room_id     INTEGER NOT NULL,
    role        TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'manager')),
    level       TEXT,                         -- of notifications; none: that of the kind of room
    read_id     INTEGER NOT NULL,             -- read up to this event,
    read_n      INTEGER NOT NULL,             -- which makes so many messages
    muted_until INTEGER,
    spoke_at    INTEGER,                      -- kept while the room is slow
    at          INTEGER NOT NULL,
    PRIMARY KEY (account_id, room_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_room ON member (room_id, account_id);

CREATE TABLE mention (                        -- account 0 is the whole room
    account_id INTEGER NOT NULL,
    room_id    INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    seen       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, room_id, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mention_message ON mention (room_id, message_id);

CREATE TABLE blocked (                        -- accounts that an account does not want to hear of
    account_id INTEGER NOT NULL,
    other      INTEGER NOT NULL,
    PRIMARY KEY (account_id, other)
) STRICT, WITHOUT ROWID;

CREATE TABLE notice (                         -- news for one account that belong to no room
    id         INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    what       TEXT NOT NULL,
    text       TEXT NOT NULL
) STRICT;
CREATE INDEX notice_account ON notice (account_id);

CREATE TABLE report (
    id         INTEGER PRIMARY KEY,
    room_id    INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    at         INTEGER NOT NULL,
    state      TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'dismissed')),
    closed_by  INTEGER
) STRICT;
CREATE INDEX report_message ON report (room_id, message_id);

CREATE TABLE bar (                            -- a visitor's identity or address that may not write
    key     TEXT PRIMARY KEY,
    until   INTEGER NOT NULL,
    made_by INTEGER NOT NULL,
    reason  TEXT
) STRICT, WITHOUT ROWID;
-- Every new account joins the lobby.
UPDATE room SET about = '{"default":true}' WHERE name = 'lobby';
