-- A page of dead, cancelled or expired jobs, newest first, by way of their own index. As jobs.sql.
SELECT id::text, state, task, queue, rank, published, due, started, finished, expires, key, worker, deliveries, attempts, strikes, losses, cancel,
  reason, body, value, error, progress, headers, history::text
FROM {schema}.jobs
WHERE keep > {now} AND state > 3 AND state = $1::int2 AND ($2::text IS NULL OR queue = $2::text)
  AND ($3::text IS NULL OR task = $3::text) AND ($4::uuid IS NULL OR id < $4::uuid)
ORDER BY jobs.id DESC LIMIT $5::int8
