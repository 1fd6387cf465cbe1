-- See ../sqlite/0016_presence_and_bans.sql.
CREATE TABLE presence (
    account_id bigint PRIMARY KEY,
    seen_at    bigint NOT NULL
);
CREATE TABLE own_ban (
    account_id bigint PRIMARY KEY,
    until      bigint
);
INSERT INTO own_ban (account_id, until)
    SELECT b.id, b.until FROM account b WHERE b.role = 'bot' AND b.state = 'banned'
    AND NOT EXISTS (SELECT 1 FROM account k WHERE k.id = b.keeper AND k.state = 'banned');
