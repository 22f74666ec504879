-- What lists, the events of a destination and the summaries of leads need; each list is read from an index in its order.
-- What is there already is filled in from the rows that it comes from.

-- The events of a destination: its attempts, and why one of them switched it off ('': it did not).
ALTER TABLE attempts ADD COLUMN destination TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN deactivated TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN last_deactivated TEXT NOT NULL DEFAULT '';
UPDATE attempts SET destination =
    COALESCE((SELECT d.destination FROM deliveries d WHERE d.delivery = attempts.delivery), '');
CREATE INDEX attempts_by_destination ON attempts (destination, started_at, attempt);

-- What became of a lead. created_at 0: a fact about one of its deliveries is known, its first event not yet.
ALTER TABLE leads ADD COLUMN events BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leads ADD COLUMN deliveries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leads ADD COLUMN failed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leads ADD COLUMN http_status BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leads ADD COLUMN last_started_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leads ADD COLUMN last_attempt TEXT NOT NULL DEFAULT '';
UPDATE leads SET
    events = (SELECT COUNT(*) FROM lead_events e WHERE e.account = leads.account AND e.lead = leads.lead),
    deliveries = (SELECT COUNT(*) FROM deliveries d WHERE d.account = leads.account AND d.lead = leads.lead),
    failed = (SELECT COUNT(*) FROM deliveries d
        WHERE d.account = leads.account AND d.lead = leads.lead AND d.status = 'failed'),
    last_attempt = COALESCE((SELECT a.attempt FROM deliveries d JOIN attempts a ON a.delivery = d.delivery
        WHERE d.account = leads.account AND d.lead = leads.lead ORDER BY a.started_at DESC, a.attempt DESC LIMIT 1), '');
UPDATE leads SET
    http_status = (SELECT a.status FROM attempts a WHERE a.attempt = leads.last_attempt),
    last_started_at = (SELECT a.started_at FROM attempts a WHERE a.attempt = leads.last_attempt)
    WHERE last_attempt <> '';
CREATE INDEX leads_failed ON leads (account, created_at, lead) WHERE failed > 0;
CREATE INDEX leads_unsuccessful ON leads (account, http_status, created_at, lead) WHERE http_status > 299;
CREATE INDEX leads_by_interface ON leads (account, interface, created_at, lead);

-- What has succeeded is most of it and is listed by time; the other states are few and have indexes of their own, which
-- cost nothing for a delivery that succeeds at once.
DROP INDEX deliveries_by_status;
DROP INDEX deliveries_of_accounts_by_status;
DROP INDEX deliveries_by_event;
CREATE INDEX deliveries_by_event ON deliveries (event_id);
CREATE INDEX deliveries_by_type ON deliveries (account, event_type, requested_at, delivery);
-- at_succeeded says the same as the status in other words: what names one of these indexes cannot mean the other.
CREATE INDEX deliveries_open ON deliveries (status, requested_at, delivery) WHERE at_succeeded = 0;
CREATE INDEX deliveries_open_of_account ON deliveries (account, status, requested_at, delivery)
    WHERE status <> 'succeeded';
CREATE INDEX deliveries_open_of_destination ON deliveries (destination, status, requested_at, delivery)
    WHERE status <> 'succeeded';
CREATE INDEX deliveries_unsuccessful ON deliveries (last_status, requested_at, delivery) WHERE last_status > 299;
