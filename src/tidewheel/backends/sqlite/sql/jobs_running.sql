-- A page of running jobs, newest first, by way of their own index.
SELECT id, state, task, queue, rank, published, due, started, finished, expires, key, worker, deliveries, attempts, strikes, losses,
  cancel, reason, body, value, error, progress, headers
FROM job INDEXED BY job_held
WHERE state = 2 AND (:before IS NULL OR id < :before) AND (:queue IS NULL OR queue = :queue) AND (:task IS NULL OR task = :task)
ORDER BY id DESC LIMIT :limit
