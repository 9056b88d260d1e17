-- Which of a worker's jobs are to be cancelled.
SELECT id FROM job WHERE state = 2 AND worker = ? AND cancel = 1
