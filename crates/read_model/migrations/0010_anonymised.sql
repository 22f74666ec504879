-- Forgetting people: which leads were anonymised, and what of theirs still has to be erased from the streams.

-- What was published about a lead up to this place in LEADS is anonymised, and since when; 0: nothing is.
ALTER TABLE leads ADD COLUMN anonymised_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leads ADD COLUMN anonymised_at BIGINT NOT NULL DEFAULT 0;

-- Events whose retention may end one day, the oldest first.
ALTER TABLE lead_events ADD COLUMN anonymised BIGINT NOT NULL DEFAULT 0;
CREATE INDEX lead_events_kept ON lead_events (account, interface, received_at) WHERE anonymised = 0;

-- Where DELIVERIES holds the attempt; 0: not known yet; -1: it is erased or about to be. What was there before gets its
-- place when the stream is read again.
ALTER TABLE attempts ADD COLUMN sequence BIGINT NOT NULL DEFAULT 0;
UPDATE checkpoints SET sequence = 0 WHERE stream = 'DELIVERIES';

-- Messages that a stream holds a second time, because they were published again after the broker had forgotten their ids.
CREATE TABLE copies (
    stream        TEXT   NOT NULL,
    sequence      BIGINT NOT NULL,
    account       TEXT   NOT NULL,
    lead          TEXT   NOT NULL,
    lead_sequence BIGINT NOT NULL,
    PRIMARY KEY (stream, sequence)
);
CREATE INDEX copies_by_lead ON copies (account, lead);

-- Messages that are to be erased, and deliveries that are to end.
CREATE TABLE erasures (
    stream   TEXT   NOT NULL,
    sequence BIGINT NOT NULL,
    PRIMARY KEY (stream, sequence)
);
CREATE TABLE endings (
    delivery TEXT NOT NULL PRIMARY KEY
);

-- Leads that messages nobody can read are to be searched for.
CREATE TABLE searches (
    account TEXT   NOT NULL,
    lead    TEXT   NOT NULL,
    until   BIGINT NOT NULL,
    PRIMARY KEY (account, lead, until)
);

INSERT INTO checkpoints (stream, sequence) VALUES ('ANONYMISED', 0);
