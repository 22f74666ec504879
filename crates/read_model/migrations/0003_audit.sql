-- Who changed what of the configuration.

INSERT INTO checkpoints (stream, sequence) VALUES ('REGISTRY', 0);

CREATE TABLE audit_log (
    -- The place of the fact in REGISTRY.
    sequence BIGINT NOT NULL PRIMARY KEY,
    account  TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    actor    TEXT   NOT NULL,
    kind     TEXT   NOT NULL,
    entity   TEXT   NOT NULL,
    action   TEXT   NOT NULL,
    -- The fields with their old and new values, in JSON.
    changes  TEXT   NOT NULL
);
CREATE INDEX audit_log_by_account ON audit_log (account, sequence);
CREATE INDEX audit_log_by_kind ON audit_log (account, kind, sequence);
CREATE INDEX audit_log_by_entity ON audit_log (account, kind, entity, sequence);
