-- Moves with all that is the account's own in its inbox. Beside the account's row: senders hold that while they write.
CREATE TABLE inbox_revision (
    account_id INTEGER PRIMARY KEY,
    revision   INTEGER NOT NULL
) STRICT;
