CREATE TABLE poll (choice TEXT PRIMARY KEY, votes INTEGER);
INSERT INTO poll VALUES ('learning', 0), ('permissive', 0), ('enforcing', 0);
CREATE TABLE ballots (number TEXT);
