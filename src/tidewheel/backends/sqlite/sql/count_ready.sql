-- Depth of what is ready, and since when the oldest has been, by queue.
SELECT queue, count(*), min(due) FROM job WHERE state = 1 GROUP BY queue
