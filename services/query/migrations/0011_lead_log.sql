-- The log of a lead is read from its events and from the attempts of its deliveries; lead_log has what else happened.

-- What followed an attempt: succeeded, retry (and when), or why the delivery failed; '': not known yet. What was there
-- before gets it when the stream is read again.
ALTER TABLE attempts ADD COLUMN verdict TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN next_attempt_at BIGINT NOT NULL DEFAULT 0;
UPDATE checkpoints SET sequence = 0 WHERE stream = 'DELIVERIES';
DELETE FROM lead_log WHERE entry IN ('received', 'webhook');

-- Whoever writes about leads asks which of them are anonymised: few.
CREATE INDEX leads_anonymised ON leads (lead) WHERE anonymised_until > 0;
