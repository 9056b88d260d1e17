-- Everything that a worker holds.
SELECT rank, seq, id, task, queue, body, headers, key, key_window, expires, published, deliveries, attempts, strikes, losses, worker, claim
FROM job WHERE state = 2 AND worker = ?
