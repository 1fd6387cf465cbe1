-- Accounts, and what they sign in with. Secrets are kept as hashes (SHA-256, argon2id).

CREATE TABLE account (
    id       bigint PRIMARY KEY,
    key      text COLLATE "C" NOT NULL UNIQUE,            -- its id for clients
    identity text COLLATE "C" NOT NULL UNIQUE,            -- what it owns messages by
    name     text NOT NULL,
    skeleton text COLLATE "C" NOT NULL UNIQUE,
    role     text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'guest', 'bot')),
    state    text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'banned', 'closed')),
    until    bigint,                         -- of the ban, or of the time for which a closed name is kept
    password text,                            -- PHC string
    settings text NOT NULL DEFAULT '{}',
    keeper   bigint,                         -- the account that answers for a bot
    revision bigint NOT NULL DEFAULT 0,      -- moves with all that its rights are made of
    made_by  bigint,
    made_at  bigint NOT NULL,
    named_at bigint,
    seen_at  bigint
);

CREATE TABLE claim (                          -- an identity of a visitor that belongs to an account
    identity   text PRIMARY KEY,
    account_id bigint NOT NULL
);
CREATE INDEX claim_account ON claim (account_id);

CREATE TABLE session (
    hash       bytea PRIMARY KEY,
    account_id bigint NOT NULL,
    label      text NOT NULL,
    at         bigint NOT NULL,
    used_at    bigint NOT NULL,
    proved_at  bigint,                       -- when the password was given last
    ends_at    bigint NOT NULL,
    agent      text,
    address    text
);
CREATE INDEX session_account ON session (account_id);

CREATE TABLE token (
    id         text PRIMARY KEY,
    hash       bytea NOT NULL UNIQUE,
    account_id bigint NOT NULL,
    name       text NOT NULL,
    scopes     text NOT NULL,
    rooms      text,
    at         bigint NOT NULL,
    used_at    bigint,
    ends_at    bigint
);
CREATE INDEX token_account ON token (account_id);

CREATE TABLE ticket (                         -- a link with a secret: setup, invitation, reset
    hash       bytea PRIMARY KEY,
    id         text NOT NULL UNIQUE,
    kind       text NOT NULL CHECK (kind IN ('setup', 'join', 'reset', 'device')),
    account_id bigint,
    role       text,
    rooms      text,
    uses       bigint NOT NULL,
    used       bigint NOT NULL DEFAULT 0,
    made_by    bigint,
    at         bigint NOT NULL,
    ends_at    bigint NOT NULL,
    note       text
);

CREATE TABLE attempt (                        -- of signing in: by address, by name, by device
    key      bytea PRIMARY KEY,
    failures bigint NOT NULL,
    try_at   bigint NOT NULL
);

CREATE TABLE site (
    key   text PRIMARY KEY,
    value text NOT NULL
);
