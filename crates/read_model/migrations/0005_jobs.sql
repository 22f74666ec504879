-- Jobs, and what they could not do.

INSERT INTO checkpoints (stream, sequence) VALUES ('JOBS', 0);

CREATE TABLE jobs (
    job        TEXT   NOT NULL PRIMARY KEY,
    account    TEXT   NOT NULL,
    status     TEXT   NOT NULL,
    started_at BIGINT NOT NULL,
    -- The facts that it adds up to, in base64.
    facts      TEXT   NOT NULL
);
CREATE INDEX jobs_by_account ON jobs (account, started_at, job);
CREATE INDEX jobs_by_account_and_status ON jobs (account, status, started_at, job);

CREATE TABLE job_refusals (
    job      TEXT NOT NULL,
    delivery TEXT NOT NULL,
    reason   TEXT NOT NULL,
    -- Of not_failed: the status that the delivery had.
    status   TEXT NOT NULL,
    PRIMARY KEY (job, delivery)
);
