-- Deliveries that are sent again although they succeeded, and what came of the rounds that jobs requested.

-- Whoever projects meanwhile holds the row of its stream: this waits until none is half way.
UPDATE checkpoints SET sequence = sequence;

-- The round of the latest resend: of the furthest fact, and of the latest attempt; 0: there was none.
ALTER TABLE deliveries ADD COLUMN at_resend BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN last_resend BIGINT NOT NULL DEFAULT 0;
-- The latest round that a job requested, and the job: "3/<uuid>"; '': no job did.
ALTER TABLE deliveries ADD COLUMN job TEXT NOT NULL DEFAULT '';
-- The id of the call that asked for a retry; '': none was given, or the entry is about something else.
ALTER TABLE lead_log ADD COLUMN request TEXT NOT NULL DEFAULT '';

CREATE TABLE job_outcomes (
    job       TEXT   NOT NULL PRIMARY KEY,
    succeeded BIGINT NOT NULL,
    failed    BIGINT NOT NULL,
    -- What was requested and has not ended.
    waiting   BIGINT NOT NULL
);
