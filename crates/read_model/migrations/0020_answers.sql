-- Attempts by the class of the HTTP status of their answer. An older version that projects meanwhile leaves its attempts out.

-- Whoever projects meanwhile holds the row of its stream: this waits until none is half way.
UPDATE checkpoints SET sequence = sequence;

ALTER TABLE delivery_counts ADD COLUMN answered_2xx BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery_counts ADD COLUMN answered_3xx BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery_counts ADD COLUMN answered_4xx BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery_counts ADD COLUMN answered_5xx BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery_counts ADD COLUMN not_answered BIGINT NOT NULL DEFAULT 0;

UPDATE delivery_counts SET answered_2xx = attempts - failed_attempts;
UPDATE delivery_counts SET answered_3xx = found.answered_3xx,
    answered_4xx = found.answered_4xx,
    answered_5xx = found.answered_5xx,
    not_answered = found.not_answered
    FROM (SELECT a.destination, w.width, (a.started_at + a.duration) / (w.width * 1000000) * w.width * 1000000 AS start,
        CAST(SUM(CASE WHEN a.error_kind = '' AND a.status BETWEEN 300 AND 399 THEN 1 ELSE 0 END) AS BIGINT) AS answered_3xx,
        CAST(SUM(CASE WHEN a.error_kind = '' AND a.status BETWEEN 400 AND 499 THEN 1 ELSE 0 END) AS BIGINT) AS answered_4xx,
        CAST(SUM(CASE WHEN a.error_kind = '' AND a.status BETWEEN 500 AND 599 THEN 1 ELSE 0 END) AS BIGINT) AS answered_5xx,
        CAST(SUM(CASE WHEN a.error_kind <> '' THEN 1 ELSE 0 END) AS BIGINT) AS not_answered
        FROM attempts a
        CROSS JOIN (SELECT CAST(300 AS BIGINT) AS width UNION ALL SELECT 3600 UNION ALL SELECT 86400) w
        WHERE a.status NOT BETWEEN 200 AND 299
        GROUP BY a.destination, w.width, (a.started_at + a.duration) / (w.width * 1000000)) found
    WHERE found.destination = delivery_counts.destination AND found.width = delivery_counts.width
        AND found.start = delivery_counts.start;
