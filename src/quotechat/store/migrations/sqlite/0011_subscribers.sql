-- Subscribers: readers whose position the server keeps, by name.
CREATE TABLE subscriber (
    id            INTEGER PRIMARY KEY,
    account_id    INTEGER,
    kind          TEXT NOT NULL,              -- pull, webhook
    name          TEXT NOT NULL,
    all_rooms     INTEGER NOT NULL,           -- 1: every room that the account has joined
    commands      TEXT,
    mentions      INTEGER NOT NULL DEFAULT 0,
    url           TEXT,
    secret        TEXT,
    old_secret    TEXT,
    old_until     INTEGER,
    state         TEXT NOT NULL DEFAULT 'on',
    failures      INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    try_at        INTEGER,
    lease_by      TEXT,
    lease_until   INTEGER,
    at            INTEGER NOT NULL,
    UNIQUE (account_id, kind, name)
) STRICT;
CREATE TABLE subscribed (                     -- what is done: up to and with this event; no tag: unchecked
    subscriber_id INTEGER NOT NULL,
    room_id       INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    tag           TEXT NOT NULL,
    PRIMARY KEY (subscriber_id, room_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery (                       -- the last tries of a webhook
    subscriber_id INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    room_id       INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    status        INTEGER,
    ms            INTEGER NOT NULL,
    PRIMARY KEY (subscriber_id, at, room_id)
) STRICT, WITHOUT ROWID;
