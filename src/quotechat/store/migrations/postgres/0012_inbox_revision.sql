-- See ../sqlite/0012_inbox_revision.sql.
CREATE TABLE inbox_revision (
    account_id bigint PRIMARY KEY,
    revision   bigint NOT NULL
);
