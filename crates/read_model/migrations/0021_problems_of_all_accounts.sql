-- The list of problems of all accounts: those with the latest failure come first.
CREATE INDEX problems_by_time ON problems (last_at, problem);
CREATE INDEX problems_open_by_time ON problems (last_at, problem) WHERE deliveries > 0;
