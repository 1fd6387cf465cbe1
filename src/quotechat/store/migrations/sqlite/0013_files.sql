-- Files. Without a hash one is still arriving; without a message it waits to be sent, or belongs to a scheduled message.
CREATE TABLE file (
    id TEXT PRIMARY KEY, room_id INTEGER NOT NULL, message_id INTEGER, scheduled INTEGER, identity TEXT NOT NULL,
    name TEXT NOT NULL, type TEXT NOT NULL, size INTEGER NOT NULL, length INTEGER, hash BLOB, thumb BLOB,
    width INTEGER, height INTEGER, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX file_message ON file (room_id, message_id);
CREATE INDEX file_identity ON file (identity);
CREATE INDEX file_hash ON file (hash);
CREATE INDEX file_thumb ON file (thumb);
CREATE INDEX file_waiting ON file (at) WHERE message_id IS NULL;
-- Contents: in pieces of that place, else in the data directory.
CREATE TABLE blob (hash BLOB PRIMARY KEY, size INTEGER NOT NULL, place TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE piece (place TEXT NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (place, at)) STRICT;
-- Contents that a file has just lost: they go, unless another file has them.
CREATE TABLE dropped (hash BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
