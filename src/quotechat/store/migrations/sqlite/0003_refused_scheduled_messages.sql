-- A scheduled message that is refused when it is due goes back to its sender: state 'refused', and the code.
-- SQLite cannot change a CHECK, so the table is made anew; it goes on counting where the old one was.
CREATE TABLE scheduled_anew (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id   INTEGER NOT NULL,
    identity  TEXT NOT NULL,
    client_id TEXT,
    due_at    INTEGER NOT NULL,
    message   TEXT NOT NULL,                 -- the inner object as it was normalised
    state     TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'cancelled', 'refused')),
    seq       INTEGER,
    code      TEXT,                          -- of the problem that refused it
    source    TEXT                           -- keyed hash of the address that it came from, while it waits
) STRICT;
INSERT INTO scheduled_anew (id, room_id, identity, client_id, due_at, message, state, seq)
    SELECT id, room_id, identity, client_id, due_at, message, state, seq FROM scheduled;
DELETE FROM sqlite_sequence WHERE name = 'scheduled_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'scheduled_anew', seq FROM sqlite_sequence WHERE name = 'scheduled';
DROP TABLE scheduled;
ALTER TABLE scheduled_anew RENAME TO scheduled;
CREATE INDEX scheduled_due ON scheduled (due_at) WHERE state = 'waiting';
CREATE INDEX scheduled_own ON scheduled (identity, room_id) WHERE state IN ('waiting', 'refused');
CREATE INDEX scheduled_source ON scheduled (source) WHERE source IS NOT NULL;

CREATE INDEX name_own ON name (room_id, identity);
