-- Depth of what is running, by queue.
SELECT queue, count(*) FROM job WHERE state = 2 GROUP BY queue
