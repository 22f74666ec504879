-- The span of each attempt (domain::delivery::SpanRef); '': it belonged to no trace, or is older than this column.

-- Whoever projects meanwhile holds the row of its stream: this waits until none is half way.
UPDATE checkpoints SET sequence = sequence;

ALTER TABLE attempts ADD COLUMN trace TEXT NOT NULL DEFAULT '';
