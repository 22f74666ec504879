-- An attempt is found by its delivery, so that is how its key begins: one index less for every attempt that is written.

-- Whoever projects meanwhile holds the row of its stream: this waits until none is half way.
UPDATE checkpoints SET sequence = sequence;

-- A lead says its latest attempt by the whole key.
ALTER TABLE leads ADD COLUMN last_delivery TEXT NOT NULL DEFAULT '';
UPDATE leads SET last_delivery = COALESCE((SELECT a.delivery FROM attempts a WHERE a.attempt = leads.last_attempt), '')
    WHERE last_attempt <> '';

CREATE TABLE attempts_of_deliveries (
    delivery        TEXT   NOT NULL,
    attempt         TEXT   NOT NULL,
    number          BIGINT NOT NULL,
    round           BIGINT NOT NULL,
    started_at      BIGINT NOT NULL,
    duration        BIGINT NOT NULL,
    method          TEXT   NOT NULL,
    url             TEXT   NOT NULL,
    status          BIGINT NOT NULL,
    response        TEXT   NOT NULL,
    error_kind      TEXT   NOT NULL,
    destination     TEXT   NOT NULL,
    deactivated     TEXT   NOT NULL,
    -- Where DELIVERIES holds it; 0: not known yet; -1: it is erased or about to be.
    sequence        BIGINT NOT NULL,
    -- What followed: succeeded, retry (and when), or why the delivery failed; '': not known yet.
    verdict         TEXT   NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    PRIMARY KEY (delivery, attempt)
);
INSERT INTO attempts_of_deliveries SELECT delivery, attempt, number, round, started_at, duration, method, url, status,
    response, error_kind, destination, deactivated, sequence, verdict, next_attempt_at FROM attempts;
DROP TABLE attempts;
ALTER TABLE attempts_of_deliveries RENAME TO attempts;
CREATE INDEX attempts_by_destination ON attempts (destination, started_at, attempt);
