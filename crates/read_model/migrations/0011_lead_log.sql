-- The log of a lead is read from its events and from the attempts of its deliveries; lead_log has what else happened.

-- Whoever projects meanwhile holds the row of its stream: this waits until none is half way. DELIVERIES is read again, for
-- what its attempts lack.
UPDATE checkpoints SET sequence = CASE WHEN stream = 'DELIVERIES' THEN 0 ELSE sequence END;

-- What followed an attempt: succeeded, retry (and when), or why the delivery failed; '': not known yet.
ALTER TABLE attempts ADD COLUMN verdict TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN next_attempt_at BIGINT NOT NULL DEFAULT 0;

-- What is kept goes into a new table: of what is deleted, the old one would keep the bytes.
CREATE TABLE kept_log (
    -- The message id of the fact that the entry tells of.
    fact        TEXT   NOT NULL PRIMARY KEY,
    account     TEXT   NOT NULL,
    lead        TEXT   NOT NULL,
    at          BIGINT NOT NULL,
    entry       TEXT   NOT NULL,
    detail      TEXT   NOT NULL,
    event_id    TEXT   NOT NULL,
    delivery    TEXT   NOT NULL,
    destination TEXT   NOT NULL
);
INSERT INTO kept_log SELECT fact, account, lead, at, entry, detail, event_id, delivery, destination
    FROM lead_log WHERE entry NOT IN ('received', 'webhook');
DROP TABLE lead_log;
ALTER TABLE kept_log RENAME TO lead_log;
CREATE INDEX lead_log_by_lead ON lead_log (account, lead, at, fact);

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
