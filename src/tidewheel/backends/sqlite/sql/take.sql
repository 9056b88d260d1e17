-- Hand one waiting job to a worker. worker, claim, now, seq
UPDATE job SET state = 2, worker = ?, claim = ?, started = ?, deliveries = deliveries + 1
WHERE seq = ?
RETURNING rank, seq, id, task, queue, body, headers, key, key_window, expires, published, deliveries, attempts, strikes, losses, worker, claim
