-- The number of a subscriber that was removed is not given again: a call that had begun for it may end later.
-- SQLite cannot change a key, so the table is made anew.
CREATE TABLE subscriber_anew (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
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
    lease_by      TEXT,
    lease_until   INTEGER,
    at            INTEGER NOT NULL,
    UNIQUE (account_id, kind, name)
) STRICT;
INSERT INTO subscriber_anew (id, account_id, kind, name, all_rooms, commands, mentions, url, secret, old_secret,
    old_until, state, lease_by, lease_until, at)
    SELECT id, account_id, kind, name, all_rooms, commands, mentions, url, secret, old_secret, old_until, state,
    lease_by, lease_until, at FROM subscriber;
-- It counts on behind all that are known, those that are gone included.
DELETE FROM sqlite_sequence WHERE name = 'subscriber_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'subscriber_anew', coalesce(max(id), 0) FROM (
    SELECT id FROM subscriber UNION ALL SELECT subscriber_id FROM subscribed UNION ALL SELECT subscriber_id FROM delivery
);
DROP TABLE subscriber;
ALTER TABLE subscriber_anew RENAME TO subscriber;

-- Rows of subscribers that were removed before the end of a call.
DELETE FROM subscribed WHERE subscriber_id NOT IN (SELECT id FROM subscriber);
DELETE FROM delivery WHERE subscriber_id NOT IN (SELECT id FROM subscriber);
