-- Ask for the cancellation of one running job.
UPDATE job SET cancel = 1 WHERE seq = ?
