-- Number of dead letters, by queue.
SELECT queue, count(*) FROM job WHERE state = 4 AND state > 3 GROUP BY queue
