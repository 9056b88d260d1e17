-- Everything about one job.
SELECT id, state, task, queue, rank, published, due, started, finished, expires, key, worker, deliveries, attempts, strikes, losses,
  cancel, reason, body, value, error, progress, headers
FROM job WHERE id = ?
