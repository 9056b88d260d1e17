-- Hand jobs of one queue to a worker. worker, claim, now, queue, now, limit. RETURNING has no order: sort the answer by rank and seq.
UPDATE job SET state = 2, worker = ?, claim = ?, started = ?, deliveries = deliveries + 1
WHERE seq IN (
  SELECT seq FROM job WHERE state = 1 AND queue = ? AND (expires IS NULL OR expires > ?) ORDER BY rank, seq LIMIT ?
)
RETURNING rank, seq, id, task, queue, body, headers, key, key_window, expires, published, deliveries, attempts, strikes, losses, worker, claim
