-- Forget the history of a job.
DELETE FROM history WHERE id = ?
