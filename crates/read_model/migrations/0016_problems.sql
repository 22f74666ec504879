-- What fails, and how each destination does. What is there already is filled in from the rows that it comes from.

-- Whoever projects meanwhile holds the row of its stream: this waits until none is half way.
UPDATE checkpoints SET sequence = sequence;

-- Failures with one cause at one destination. deliveries 0: the problem is closed.
CREATE TABLE problems (
    -- The destination and the cause.
    problem     TEXT   NOT NULL PRIMARY KEY,
    account     TEXT   NOT NULL,
    destination TEXT   NOT NULL,
    cause       TEXT   NOT NULL,
    deliveries  BIGINT NOT NULL,
    leads       BIGINT NOT NULL,
    first_at    BIGINT NOT NULL,
    last_at     BIGINT NOT NULL,
    closed_at   BIGINT NOT NULL,
    example     TEXT   NOT NULL
);
CREATE INDEX problems_by_account ON problems (account, last_at, problem);
CREATE INDEX problems_open ON problems (account, last_at, problem) WHERE deliveries > 0;
CREATE TABLE problem_leads (
    problem    TEXT   NOT NULL,
    lead       TEXT   NOT NULL,
    -- Deliveries of the lead in the problem.
    deliveries BIGINT NOT NULL,
    PRIMARY KEY (problem, lead)
);
-- The last acknowledgement of each problem.
CREATE TABLE acknowledgements (
    problem TEXT   NOT NULL PRIMARY KEY,
    account TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL
);

CREATE TABLE destination_health (
    destination     TEXT   NOT NULL PRIMARY KEY,
    account         TEXT   NOT NULL,
    -- Deliveries in each state that has not ended, as the facts say it.
    pending         BIGINT NOT NULL,
    processing      BIGINT NOT NULL,
    retrying        BIGINT NOT NULL,
    held            BIGINT NOT NULL,
    last_success_at BIGINT NOT NULL,
    last_failure_at BIGINT NOT NULL,
    failures        BIGINT NOT NULL
);
CREATE INDEX destination_health_failing ON destination_health (last_failure_at, destination) WHERE failures > 0;

-- Deliveries that ended and attempts that were made, in buckets of so many seconds; l0, l1, …: attempts by their duration.
CREATE TABLE delivery_counts (
    destination     TEXT   NOT NULL,
    width           BIGINT NOT NULL,
    start           BIGINT NOT NULL,
    account         TEXT   NOT NULL,
    succeeded       BIGINT NOT NULL,
    failed          BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    failed_attempts BIGINT NOT NULL,
    l0              BIGINT NOT NULL,
    l1              BIGINT NOT NULL,
    l2              BIGINT NOT NULL,
    l3              BIGINT NOT NULL,
    l4              BIGINT NOT NULL,
    l5              BIGINT NOT NULL,
    l6              BIGINT NOT NULL,
    l7              BIGINT NOT NULL,
    l8              BIGINT NOT NULL,
    l9              BIGINT NOT NULL,
    l10             BIGINT NOT NULL,
    l11             BIGINT NOT NULL,
    l12             BIGINT NOT NULL,
    l13             BIGINT NOT NULL,
    l14             BIGINT NOT NULL,
    l15             BIGINT NOT NULL,
    l16             BIGINT NOT NULL,
    l17             BIGINT NOT NULL,
    l18             BIGINT NOT NULL,
    l19             BIGINT NOT NULL,
    PRIMARY KEY (destination, width, start)
);
CREATE INDEX delivery_counts_by_time ON delivery_counts (width, start);
CREATE INDEX delivery_counts_by_account ON delivery_counts (account, width, start DESC, destination);

INSERT INTO problem_leads (problem, lead, deliveries)
    SELECT destination || '/' || CASE WHEN failure IN ('payload_gone', 'crashed') THEN failure WHEN last_error_kind <> '' THEN last_error_kind ELSE CAST(last_status AS TEXT) END, lead, COUNT(*) FROM deliveries
    WHERE status <> 'succeeded' AND event_type <> 'webhook.test' AND failure NOT IN ('anonymised', 'skipped', 'destination_deleted')
    AND (failure IN ('payload_gone', 'crashed') OR (last_attempt > 0 AND (last_status < 200 OR last_status > 299)))
    GROUP BY destination || '/' || CASE WHEN failure IN ('payload_gone', 'crashed') THEN failure WHEN last_error_kind <> '' THEN last_error_kind ELSE CAST(last_status AS TEXT) END, lead;
INSERT INTO problems (problem, account, destination, cause, deliveries, leads, first_at, last_at, closed_at, example)
    SELECT destination || '/' || CASE WHEN failure IN ('payload_gone', 'crashed') THEN failure WHEN last_error_kind <> '' THEN last_error_kind ELSE CAST(last_status AS TEXT) END, account, destination, CASE WHEN failure IN ('payload_gone', 'crashed') THEN failure WHEN last_error_kind <> '' THEN last_error_kind ELSE CAST(last_status AS TEXT) END,
        COUNT(*), COUNT(DISTINCT lead), MIN(last_started_at), MAX(updated_at), 0, MAX(delivery) FROM deliveries
    WHERE status <> 'succeeded' AND event_type <> 'webhook.test' AND failure NOT IN ('anonymised', 'skipped', 'destination_deleted')
    AND (failure IN ('payload_gone', 'crashed') OR (last_attempt > 0 AND (last_status < 200 OR last_status > 299)))
    GROUP BY destination || '/' || CASE WHEN failure IN ('payload_gone', 'crashed') THEN failure WHEN last_error_kind <> '' THEN last_error_kind ELSE CAST(last_status AS TEXT) END, account, destination, CASE WHEN failure IN ('payload_gone', 'crashed') THEN failure WHEN last_error_kind <> '' THEN last_error_kind ELSE CAST(last_status AS TEXT) END;
INSERT INTO destination_health
    (destination, account, pending, processing, retrying, held, last_success_at, last_failure_at, failures)
    SELECT d.destination, MIN(d.account),
        CAST(SUM(CASE WHEN d.status = 'pending' THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN d.status = 'processing' THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN d.status = 'retrying' THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN d.status = 'held' THEN 1 ELSE 0 END) AS BIGINT), 0, 0, 0
    FROM deliveries d GROUP BY d.destination;
UPDATE destination_health SET
    last_success_at = COALESCE((SELECT MAX(a.started_at + a.duration) FROM attempts a
        WHERE a.destination = destination_health.destination AND a.status BETWEEN 200 AND 299), 0),
    last_failure_at = COALESCE((SELECT MAX(a.started_at + a.duration) FROM attempts a
        WHERE a.destination = destination_health.destination AND a.status NOT BETWEEN 200 AND 299), 0);
UPDATE destination_health SET failures = (SELECT COUNT(*) FROM attempts a
    WHERE a.destination = destination_health.destination AND a.status NOT BETWEEN 200 AND 299
    AND a.started_at + a.duration > destination_health.last_success_at);
INSERT INTO delivery_counts (destination, width, start, account, succeeded, failed, attempts, failed_attempts,
    l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15, l16, l17, l18, l19)
    SELECT a.destination, w.width, (a.started_at + a.duration) / (w.width * 1000000) * w.width * 1000000, MIN(d.account), 0, 0,
        COUNT(*), CAST(SUM(CASE WHEN a.status BETWEEN 200 AND 299 THEN 0 ELSE 1 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration < 2000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 2000 AND a.duration < 5000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 5000 AND a.duration < 10000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 10000 AND a.duration < 20000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 20000 AND a.duration < 30000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 30000 AND a.duration < 50000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 50000 AND a.duration < 75000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 75000 AND a.duration < 100000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 100000 AND a.duration < 150000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 150000 AND a.duration < 200000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 200000 AND a.duration < 300000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 300000 AND a.duration < 500000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 500000 AND a.duration < 750000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 750000 AND a.duration < 1000000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 1000000 AND a.duration < 2000000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 2000000 AND a.duration < 3000000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 3000000 AND a.duration < 5000000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 5000000 AND a.duration < 10000000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 10000000 AND a.duration < 20000000 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN a.error_kind IN ('', 'timeout') AND a.duration >= 20000000 THEN 1 ELSE 0 END) AS BIGINT)
    FROM attempts a JOIN deliveries d ON d.delivery = a.delivery
    CROSS JOIN (SELECT CAST(300 AS BIGINT) AS width UNION ALL SELECT 3600 UNION ALL SELECT 86400) w
    GROUP BY a.destination, w.width, (a.started_at + a.duration) / (w.width * 1000000);
INSERT INTO delivery_counts (destination, width, start, account, succeeded, failed, attempts, failed_attempts,
    l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15, l16, l17, l18, l19)
    SELECT d.destination, w.width, d.updated_at / (w.width * 1000000) * w.width * 1000000, MIN(d.account),
        CAST(SUM(CASE WHEN d.status = 'succeeded' THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN d.status = 'failed' THEN 1 ELSE 0 END) AS BIGINT), 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM deliveries d
    CROSS JOIN (SELECT CAST(300 AS BIGINT) AS width UNION ALL SELECT 3600 UNION ALL SELECT 86400) w
    WHERE d.status IN ('succeeded', 'failed')
    GROUP BY d.destination, w.width, d.updated_at / (w.width * 1000000)
    ON CONFLICT (destination, width, start) DO UPDATE SET
        succeeded = delivery_counts.succeeded + excluded.succeeded, failed = delivery_counts.failed + excluded.failed;
