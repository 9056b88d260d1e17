-- How many jobs a worker holds.
SELECT count(*) FROM job WHERE state = 2 AND worker = ?
