-- A page of jobs, newest first. $1 state, $2 queue, $3 task, $4 the last id of the page before (each may be NULL), $5 most.
SELECT id::text, state, task, queue, rank, published, due, started, finished, expires, key, worker, deliveries, attempts, strikes, losses, cancel,
  reason, body, value, error, progress, headers, history::text
FROM {schema}.jobs
WHERE (keep IS NULL OR keep > {now}) AND ($1::int2 IS NULL OR state = $1::int2) AND ($2::text IS NULL OR queue = $2::text)
  AND ($3::text IS NULL OR task = $3::text) AND ($4::uuid IS NULL OR id < $4::uuid)
ORDER BY jobs.id DESC LIMIT $5::int8
