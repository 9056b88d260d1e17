-- Cancel jobs. $1 ids, $2 and $3 seconds for which that is shown and remembered. Answers for each that is known: id, what was done
-- (0 cancelled, 1 asked for, 2 it had ended, 3 it moved meanwhile: again), its worker. (`state + 0`: no index fits it but that of ids.)
WITH clock AS MATERIALIZED (
  SELECT {now} AS now
), live AS MATERIALIZED (
  SELECT id FROM {schema}.job WHERE id = ANY($1::uuid[])
), gone AS (
  DELETE FROM {schema}.job WHERE id = ANY($1::uuid[]) AND state < 2 RETURNING *
), written AS (
  INSERT INTO {schema}.ended (
    id, keep, until, finished, published, due, expires, started, key_until, state, rank, deliveries, attempts, strikes, losses, queue, task, worker, key,
    key_window, headers, history)
  SELECT id, now + greatest($3::float8, key_window), now + $2::float8, now, published, due, expires, started, now + key_window, 5, rank, deliveries,
    attempts, strikes, losses, queue, task, worker, key, key_window, headers, history
  FROM gone, clock
  RETURNING id
), asked AS (
  UPDATE {schema}.job SET cancel = true WHERE id = ANY($1::uuid[]) AND state + 0 = 2 RETURNING id, worker
)
SELECT id::text, 0, NULL FROM written
UNION ALL SELECT id::text, 1, worker FROM asked
UNION ALL SELECT id::text, 2, NULL FROM {schema}.ended WHERE id = ANY($1::uuid[]) AND keep > (SELECT now FROM clock)
UNION ALL SELECT id::text, 3, NULL FROM live WHERE id NOT IN (SELECT id FROM written UNION ALL SELECT id FROM asked)
