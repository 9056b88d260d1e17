-- Everything that a worker holds. $1 worker
SELECT claim, rank, seq, id::text, queue, task, body, headers, key, key_window, expires, published, deliveries, attempts, strikes, losses
FROM {schema}.job WHERE state = 2 AND worker = $1::text ORDER BY rank, seq
