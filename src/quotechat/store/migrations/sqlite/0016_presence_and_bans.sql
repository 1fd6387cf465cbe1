-- When an account was last here (hub/presence.py). Beside the account's row: senders hold that while they write.
CREATE TABLE presence (
    account_id INTEGER PRIMARY KEY,
    seen_at    INTEGER NOT NULL
) STRICT;

-- The bans of bots themselves, beside those of their keepers (store/accounts/bans.py); without a time, for good.
CREATE TABLE own_ban (
    account_id INTEGER PRIMARY KEY,
    until      INTEGER
) STRICT;
INSERT INTO own_ban (account_id, until)
    SELECT b.id, b.until FROM account b WHERE b.role = 'bot' AND b.state = 'banned'
    AND NOT EXISTS (SELECT 1 FROM account k WHERE k.id = b.keeper AND k.state = 'banned');
