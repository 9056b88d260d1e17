-- Every incarnation that the tables know: those that hold jobs, and those that said hello.
SELECT DISTINCT worker FROM job WHERE state = 2 UNION SELECT id FROM worker
