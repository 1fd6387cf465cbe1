-- Files. Without a hash one is still arriving; without a message it waits to be sent, or belongs to a scheduled message.
CREATE TABLE file (
    id text PRIMARY KEY, room_id bigint NOT NULL, message_id bigint, scheduled bigint, identity text NOT NULL,
    name text NOT NULL, type text NOT NULL, size bigint NOT NULL, length bigint, hash bytea, thumb bytea,
    width bigint, height bigint, at bigint NOT NULL
);
CREATE INDEX file_message ON file (room_id, message_id);
CREATE INDEX file_identity ON file (identity);
CREATE INDEX file_hash ON file (hash);
CREATE INDEX file_thumb ON file (thumb);
CREATE INDEX file_waiting ON file (at) WHERE message_id IS NULL;
-- Contents: in pieces of that place, else in the data directory.
CREATE TABLE blob (hash bytea PRIMARY KEY, size bigint NOT NULL, place text);
CREATE TABLE piece (place text NOT NULL, at bigint NOT NULL, data bytea NOT NULL, PRIMARY KEY (place, at));
ALTER TABLE piece ALTER COLUMN data SET STORAGE EXTERNAL;
-- Contents that a file has just lost: they go, unless another file has them.
CREATE TABLE dropped (hash bytea PRIMARY KEY);
