-- How often a webhook was enabled or got another address: the outcome of a call, or of a check, from before that puts
-- nothing off and disables nothing.
ALTER TABLE webhook ADD COLUMN revision bigint NOT NULL DEFAULT 0;
