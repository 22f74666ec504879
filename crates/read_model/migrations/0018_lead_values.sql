-- Keyed hashes of values inside payloads, by which leads are found. Events that were projected before are not in it until
-- the read model is rebuilt: only LEADS has payloads.
CREATE TABLE lead_values (
    account  TEXT   NOT NULL,
    field    TEXT   NOT NULL,
    hash     TEXT   NOT NULL,
    lead     TEXT   NOT NULL,
    -- Of the event that said it.
    client   TEXT   NOT NULL,
    -- Where LEADS holds the latest event that said it.
    sequence BIGINT NOT NULL,
    PRIMARY KEY (account, field, hash, lead, client)
);
CREATE INDEX lead_values_by_lead ON lead_values (lead, account);
