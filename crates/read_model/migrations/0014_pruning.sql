-- Which process deletes what is older than history is kept: one at a time, until the time in microseconds that is noted here.
CREATE TABLE leases (
    name       TEXT   NOT NULL PRIMARY KEY,
    holder     TEXT   NOT NULL,
    held_until BIGINT NOT NULL
);
