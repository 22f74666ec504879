-- The list of problems of all accounts, the one that failed last first.
CREATE INDEX problems_by_time ON problems (last_at, problem);
CREATE INDEX problems_open_by_time ON problems (last_at, problem) WHERE deliveries > 0;
