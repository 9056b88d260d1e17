-- Settle deliveries as succeeded. Arrays: $1 ids, $2 workers, $3 claims, $4 values, $5 and $6 seconds for which the result is shown and the job
-- remembered. $7 and $8 the bell of those who wait. Answers which were, and whether somebody may have to be rung.
-- Each row is found by its id and changed at its place, whatever the planner thinks of the table (hence OFFSET 0, and `state + 0`, which no partial
-- index fits): any other way goes through all jobs that run, or all there are.
WITH clock AS MATERIALIZED (
  SELECT {now} AS now
), x AS MATERIALIZED (
  SELECT x.*, j.place, j.state AS is, j.worker = x.worker AND j.claim = x.claim AS ours
  FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::bytea[], $5::float8[], $6::float8[]) AS x (id, worker, claim, value, shown, kept), LATERAL (SELECT job.ctid AS place, job.state, job.worker, job.claim FROM {schema}.job WHERE job.id = x.id OFFSET 0) AS j
), gone AS (
  DELETE FROM {schema}.job AS j USING x
  WHERE j.ctid = x.place AND j.state + 0 = 2 AND j.worker = x.worker AND j.claim = x.claim
  RETURNING j.*, x.value, x.shown, x.kept
), written AS (
  INSERT INTO {schema}.ended (
    id, keep, until, finished, published, due, expires, started, key_until, state, rank, deliveries, attempts, strikes, losses, queue, task, worker,
    key, key_window, headers, history, value)
  SELECT id, now + greatest(kept, key_window), now + shown, now, published, due, expires, started, now + key_window, 3, rank, deliveries, attempts,
    strikes, losses, queue, task, worker, key, key_window, headers, history, value
  FROM gone, clock
  RETURNING id
), many AS MATERIALIZED (
  SELECT array_agg(id) AS ids FROM written
)
SELECT cardinality(ids), CASE WHEN cardinality(ids) < cardinality($1::uuid[]) THEN ids::text[] END,
  NOT pg_try_advisory_xact_lock($7::int4, $8::int4)
FROM many
