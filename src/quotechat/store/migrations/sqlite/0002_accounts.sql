-- Accounts, and what they sign in with. Secrets are kept as hashes (SHA-256, argon2id).

CREATE TABLE account (
    id       INTEGER PRIMARY KEY,
    key      TEXT NOT NULL UNIQUE,            -- its id for clients
    identity TEXT NOT NULL UNIQUE,            -- what it owns messages by
    name     TEXT NOT NULL,
    skeleton TEXT NOT NULL UNIQUE,
    role     TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'guest', 'bot')),
    state    TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'banned', 'closed')),
    until    INTEGER,                         -- of the ban, or of the time for which a closed name is kept
    password TEXT,                            -- PHC string
    settings TEXT NOT NULL DEFAULT '{}',
    keeper   INTEGER,                         -- the account that answers for a bot
    revision INTEGER NOT NULL DEFAULT 0,      -- moves with all that its rights are made of
    made_by  INTEGER,
    made_at  INTEGER NOT NULL,
    named_at INTEGER,
    seen_at  INTEGER
) STRICT;

CREATE TABLE claim (                          -- an identity of a visitor that belongs to an account
    identity   TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_account ON claim (account_id);

CREATE TABLE session (
    hash       BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL,
    label      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    proved_at  INTEGER,                       -- when the password was given last
    ends_at    INTEGER NOT NULL,
    agent      TEXT,
    address    TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX session_account ON session (account_id);

CREATE TABLE token (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    account_id INTEGER NOT NULL,
    name       TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    rooms      TEXT,
    at         INTEGER NOT NULL,
    used_at    INTEGER,
    ends_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX token_account ON token (account_id);

CREATE TABLE ticket (                         -- a link with a secret: setup, invitation, reset
    hash       BLOB PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL CHECK (kind IN ('setup', 'join', 'reset', 'device')),
    account_id INTEGER,
    role       TEXT,
    rooms      TEXT,
    uses       INTEGER NOT NULL,
    used       INTEGER NOT NULL DEFAULT 0,
    made_by    INTEGER,
    at         INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    note       TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (                        -- of signing in: by address, by name, by device
    key      BLOB PRIMARY KEY,
    failures INTEGER NOT NULL,
    try_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE site (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
