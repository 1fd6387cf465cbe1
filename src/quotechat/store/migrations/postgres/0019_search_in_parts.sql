-- The index of the search in parts of time (store/search/postgres.py). It is made anew, under other names: a worker of
-- an older version, which knows no parts, must not write into it.
DROP TABLE search;
DROP TABLE search_place;

CREATE TABLE search_doc (
    n       bigint PRIMARY KEY,                  -- grows with `at`: the newest are found first without sorting
    room_id bigint NOT NULL,                     -- 0: a quote
    id      bigint NOT NULL,
    at      bigint NOT NULL,
    terms   tsvector NOT NULL                    -- each with its part before it: `17.tea`
);
CREATE UNIQUE INDEX search_doc_message ON search_doc (room_id, id);
-- No list of pending entries: the indexer may take its time, and a search must not walk through them.
CREATE INDEX search_doc_terms ON search_doc USING gin (terms) WITH (fastupdate = off);

-- Documents from the number `start` on, up to the next start, are in the part `id`; `docs` of them.
CREATE TABLE search_part (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    start bigint NOT NULL UNIQUE,
    docs  bigint NOT NULL DEFAULT 0
);

-- How far the log of each room has been read.
CREATE TABLE search_position (
    room_id bigint PRIMARY KEY,
    seq     bigint NOT NULL,
    tag     text NOT NULL,
    floor   bigint NOT NULL
);
