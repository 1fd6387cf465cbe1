-- Times are milliseconds since 1970. room_id is in every key, so that rooms can be spread later.

CREATE TABLE room (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    title       TEXT,
    head        INTEGER NOT NULL DEFAULT 0,
    chain       BLOB NOT NULL,               -- hash chain at head
    floor       INTEGER NOT NULL DEFAULT 0,  -- events up to here are kept no longer
    floor_chain BLOB NOT NULL,               -- hash chain at floor; at 0 it is the room's random genesis
    created_at  INTEGER NOT NULL
) STRICT;

-- The log. `message`, `reaction` and `quote` are projections of it (store/maintenance/rebuild.py).
CREATE TABLE event (
    room_id  INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    command  TEXT NOT NULL,
    at       INTEGER NOT NULL,
    body     TEXT NOT NULL,                  -- what readers get, as JSON
    tag      TEXT NOT NULL,                  -- of the cursor after it
    digest   BLOB,                           -- of the body as it was, where a deletion has blanked it
    target   INTEGER,                        -- the message that it changes
    identity TEXT,                           -- who did it; never shown
    reaction INTEGER,                        -- 1, -1 or 0; the body has only counts
    PRIMARY KEY (room_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_target ON event (room_id, target) WHERE target IS NOT NULL;

CREATE TABLE message (
    room_id  INTEGER NOT NULL,
    id       INTEGER NOT NULL,               -- seq of the event that sent it
    identity TEXT,
    body     TEXT NOT NULL,                  -- as it is now, without counts
    likes    INTEGER NOT NULL DEFAULT 0,
    dislikes INTEGER NOT NULL DEFAULT 0,
    deleted  INTEGER,                        -- seq of the event that deleted it
    reply_to INTEGER,
    PRIMARY KEY (room_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_reply ON message (room_id, reply_to) WHERE reply_to IS NOT NULL;

CREATE TABLE reaction (
    room_id    INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    identity   TEXT NOT NULL,
    value      INTEGER NOT NULL CHECK (value IN (-1, 1)),
    PRIMARY KEY (room_id, message_id, identity)
) STRICT, WITHOUT ROWID;

CREATE TABLE quote (
    id       INTEGER PRIMARY KEY,
    room_id  INTEGER,                        -- none: it came with the program
    seq      INTEGER,
    identity TEXT,
    body     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX quote_event ON quote (room_id, seq) WHERE seq IS NOT NULL;

-- What was sent under which client_id: who repeats it gets the first outcome.
CREATE TABLE sent (
    room_id   INTEGER NOT NULL,
    sender    TEXT NOT NULL,
    client_id TEXT NOT NULL,
    hash      BLOB NOT NULL,                 -- of the content
    at        INTEGER NOT NULL,
    seq       INTEGER,                       -- the event that it became
    scheduled INTEGER,                       -- or the waiting message that it became or cancelled
    PRIMARY KEY (room_id, sender, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sent_at ON sent (at);

-- Private until it is due: then it becomes an event and takes its number.
CREATE TABLE scheduled (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id   INTEGER NOT NULL,
    identity  TEXT NOT NULL,
    client_id TEXT,
    due_at    INTEGER NOT NULL,
    message   TEXT NOT NULL,                 -- the inner object as it was normalised
    state     TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'cancelled')),
    seq       INTEGER
) STRICT;
CREATE INDEX scheduled_due ON scheduled (due_at) WHERE state = 'waiting';
CREATE INDEX scheduled_own ON scheduled (identity, room_id) WHERE state = 'waiting';

-- Who last used a name in a room.
CREATE TABLE name (
    room_id  INTEGER NOT NULL,
    skeleton TEXT NOT NULL,
    identity TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (room_id, skeleton)
) STRICT, WITHOUT ROWID;
