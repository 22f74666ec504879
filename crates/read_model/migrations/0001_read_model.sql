-- The read model. Every row comes from the events and can be made again from them (leadline rebuild).
-- Times are microseconds since 1970-01-01T00:00:00Z, durations microseconds; 0 and '' stand for nothing.

CREATE TABLE checkpoints (
    stream   TEXT   NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL
);
INSERT INTO checkpoints (stream, sequence) VALUES ('LEADS', 0), ('DELIVERIES', 0), ('NOTICES', 0);

CREATE TABLE lead_events (
    account     TEXT   NOT NULL,
    event_id    TEXT   NOT NULL,
    lead        TEXT   NOT NULL,
    interface   TEXT   NOT NULL,
    client      TEXT   NOT NULL,
    event_type  TEXT   NOT NULL,
    received_at BIGINT NOT NULL,
    sequence    BIGINT NOT NULL,
    PRIMARY KEY (account, event_id)
);
CREATE INDEX lead_events_by_lead ON lead_events (account, lead);

CREATE TABLE leads (
    account    TEXT   NOT NULL,
    lead       TEXT   NOT NULL,
    interface  TEXT   NOT NULL,
    client     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, lead)
);
CREATE INDEX leads_by_time ON leads (account, created_at, lead);

CREATE TABLE deliveries (
    delivery        TEXT   NOT NULL PRIMARY KEY,
    account         TEXT   NOT NULL,
    interface       TEXT   NOT NULL,
    client          TEXT   NOT NULL,
    destination     TEXT   NOT NULL,
    event_id        TEXT   NOT NULL,
    event_type      TEXT   NOT NULL,
    lead            TEXT   NOT NULL,
    lead_sequence   BIGINT NOT NULL,
    status          TEXT   NOT NULL,
    attempts        BIGINT NOT NULL,
    round           BIGINT NOT NULL,
    requested_at    BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    failure         TEXT   NOT NULL,
    updated_at      BIGINT NOT NULL,
    -- The position of the furthest fact in the life of the delivery.
    at_succeeded    BIGINT NOT NULL,
    at_attempts     BIGINT NOT NULL,
    at_round        BIGINT NOT NULL,
    at_hold         BIGINT NOT NULL,
    at_phase        BIGINT NOT NULL,
    at_time         BIGINT NOT NULL,
    at_tie          TEXT   NOT NULL,
    -- The latest attempt; last_attempt 0: none.
    last_id         TEXT   NOT NULL,
    last_attempt    BIGINT NOT NULL,
    last_started_at BIGINT NOT NULL,
    last_duration   BIGINT NOT NULL,
    last_method     TEXT   NOT NULL,
    last_url        TEXT   NOT NULL,
    last_status     BIGINT NOT NULL,
    last_response   TEXT   NOT NULL,
    last_error_kind TEXT   NOT NULL
);
CREATE INDEX deliveries_by_time ON deliveries (requested_at, delivery);
CREATE INDEX deliveries_by_account ON deliveries (account, requested_at, delivery);
CREATE INDEX deliveries_by_destination ON deliveries (destination, requested_at, delivery);
CREATE INDEX deliveries_by_status ON deliveries (status, requested_at, delivery);
CREATE INDEX deliveries_by_lead ON deliveries (lead, requested_at, delivery);
CREATE INDEX deliveries_by_event ON deliveries (event_id, requested_at, delivery);
CREATE INDEX deliveries_of_accounts_by_status ON deliveries (account, status, lead);

CREATE TABLE attempts (
    attempt    TEXT   NOT NULL PRIMARY KEY,
    delivery   TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    round      BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    duration   BIGINT NOT NULL,
    method     TEXT   NOT NULL,
    url        TEXT   NOT NULL,
    status     BIGINT NOT NULL,
    response   TEXT   NOT NULL,
    error_kind TEXT   NOT NULL
);
CREATE INDEX attempts_by_delivery ON attempts (delivery, started_at, attempt);

CREATE TABLE lead_log (
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
CREATE INDEX lead_log_by_lead ON lead_log (account, lead, at, fact);
