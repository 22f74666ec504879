-- What each attempt sent and got, in base64 (crates/events/src/exchange.rs); '': it made no request, is older than this
-- column, or its lead was anonymised.

-- Whoever projects meanwhile holds the row of its stream: this waits until none is half way.
UPDATE checkpoints SET sequence = sequence;

ALTER TABLE attempts ADD COLUMN exchange TEXT NOT NULL DEFAULT '';
