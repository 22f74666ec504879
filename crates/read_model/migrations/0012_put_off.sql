-- Indexes that are put off while the read model is made anew, and how each is made again.
CREATE TABLE put_off_indexes (
    name       TEXT NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL
);
