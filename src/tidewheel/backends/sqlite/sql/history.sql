-- The history of a job, oldest first.
SELECT at, event, worker, detail FROM history WHERE id = ? ORDER BY n
