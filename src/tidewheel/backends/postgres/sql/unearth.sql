-- Take a dead letter out. $1 id. Answers it as revive.sql wants it.
DELETE FROM {schema}.ended WHERE id = $1::uuid AND state = 4 AND keep > {now}
RETURNING id, published, rank, deliveries, queue, task, key, key_window, headers, history::text, body
