-- The index of the search, made of the log and made anew at will (store/search). Of SQLite it is a file of its own.
CREATE TABLE search (
    n       bigint PRIMARY KEY,                  -- grows with `at`: the newest are found first without sorting
    room_id bigint NOT NULL,                     -- 0: a quote
    id      bigint NOT NULL,
    at      bigint NOT NULL,
    terms   tsvector NOT NULL
);
CREATE UNIQUE INDEX search_message ON search (room_id, id);
-- No list of pending entries: the indexer may take its time, and a search must not walk through them.
CREATE INDEX search_terms ON search USING gin (terms) WITH (fastupdate = off);

-- How far the log of each room has been read.
CREATE TABLE search_place (
    room_id bigint PRIMARY KEY,
    seq     bigint NOT NULL,
    tag     text NOT NULL,
    floor   bigint NOT NULL
);
