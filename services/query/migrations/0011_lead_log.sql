-- The log of a lead is read from its events and from the attempts of its deliveries; lead_log has what else happened.

-- What followed an attempt: succeeded, retry (and when), or why the delivery failed; '': not known yet. What was there
-- before gets it when the stream is read again.
ALTER TABLE attempts ADD COLUMN verdict TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN next_attempt_at BIGINT NOT NULL DEFAULT 0;
UPDATE checkpoints SET sequence = 0 WHERE stream = 'DELIVERIES';
DELETE FROM lead_log WHERE entry IN ('received', 'webhook');

-- Which leads are anonymised, up to which place in LEADS. Whoever writes about a lead asks that, so the few that are stand
-- apart from all that are not.
CREATE TABLE anonymised_leads (
    lead    TEXT   NOT NULL,
    account TEXT   NOT NULL,
    until   BIGINT NOT NULL,
    PRIMARY KEY (lead, account)
);
INSERT INTO anonymised_leads (lead, account, until)
    SELECT lead, account, anonymised_until FROM leads WHERE anonymised_until > 0;
ALTER TABLE leads DROP COLUMN anonymised_until;
