-- The same, of all that a worker holds.
SELECT id, cancel, attempts, strikes, losses, queue, seq FROM job WHERE state = 2 AND worker = ?
