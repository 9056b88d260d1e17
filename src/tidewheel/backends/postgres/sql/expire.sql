-- End waiting jobs that are too late. $1 most, $2 and $3 seconds for which that is shown and remembered. Answers their ids.
WITH clock AS MATERIALIZED (
  SELECT {now} AS now
), gone AS (
  DELETE FROM {schema}.job
  WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {schema}.job WHERE state < 2 AND expires IS NOT NULL AND expires <= (SELECT now FROM clock)
    ORDER BY expires LIMIT $1::int8 FOR UPDATE SKIP LOCKED
  ))
  RETURNING *
)
INSERT INTO {schema}.ended (
  id, keep, until, finished, published, due, expires, started, key_until, state, rank, deliveries, attempts, strikes, losses, queue, task, worker, key,
  key_window, headers, history)
SELECT id, now + greatest($3::float8, key_window), now + $2::float8, now, published, due, expires, started, now + key_window, 6, rank, deliveries,
  attempts, strikes, losses, queue, task, worker, key, key_window, headers, history
FROM gone, clock
RETURNING id::text
