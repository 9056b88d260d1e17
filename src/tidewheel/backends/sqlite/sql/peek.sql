-- Whether any job of a queue is ready.
SELECT EXISTS (SELECT 1 FROM job WHERE state = 1 AND queue = ?)
