-- Some jobs by their ids, newest first.
SELECT id, state, task, queue, rank, published, due, started, finished, expires, key, worker, deliveries, attempts, strikes, losses,
  cancel, reason, body, value, error, progress, headers
FROM job
WHERE id IN (SELECT value FROM json_each(:ids)) AND (:before IS NULL OR id < :before) AND (:state IS NULL OR state = :state)
  AND (:queue IS NULL OR queue = :queue) AND (:task IS NULL OR task = :task)
ORDER BY id DESC LIMIT :limit
