-- Hand exactly these jobs to a worker, to whom a carrier has delivered them. $1 worker, $2 claim; arrays: $3 ids, $4 the carrier's counts of losses;
-- $5 seconds until a job that runs is looked at again, $6 how many beats its holder must have missed. Answers for each, in their order: whether
-- our worker is alive; what is to be done ('taken', 'wait', 'late', 'over', 'unknown', 'lost': its holder must be taken for dead first); for how
-- long; the token of its holder, whether it was to be cancelled, and the job.
-- (`ANY(ARRAY(…))`: `IN` would be a join, and the planner goes through all jobs for it.)
WITH clock AS MATERIALIZED (
  SELECT {now} AS now
), x AS MATERIALIZED (
  SELECT * FROM unnest($3::uuid[], $4::int8[]) WITH ORDINALITY AS x (id, losses, n)
), found AS MATERIALIZED (
  SELECT j.* FROM {schema}.job AS j WHERE j.id = ANY($3::uuid[]) ORDER BY j.id FOR UPDATE
), alive AS MATERIALIZED (
  SELECT set_config('synchronous_commit', 'off', true) FROM {schema}.worker WHERE id = $1::text FOR KEY SHARE
), taken AS (
  UPDATE {schema}.job AS j SET state = 2, worker = $1::text, claim = $2::int8, started = now, deliveries = deliveries + 1
  FROM clock
  WHERE j.id = ANY(ARRAY(SELECT found.id FROM found WHERE found.state < 2 AND found.due <= now AND (found.expires IS NULL OR found.expires > now)))
    AND EXISTS (SELECT FROM alive)
  RETURNING j.id, j.deliveries
)
SELECT EXISTS (SELECT FROM alive), w.what,
  CASE
    WHEN w.what = 'wait' AND found.state < 2 THEN found.due - now
    WHEN w.what = 'wait' AND x.losses > found.losses THEN least($5::float8, holder.seen + $6::float8 * holder.every - now)
    ELSE $5::float8
  END,
  found.worker, found.claim, found.cancel,
  found.rank, found.seq, x.id::text, found.queue, found.task, found.body, found.headers, found.key, found.key_window, found.expires, found.published,
  coalesce(taken.deliveries, found.deliveries), found.attempts, found.strikes, found.losses
FROM clock, x
LEFT JOIN found ON found.id = x.id
LEFT JOIN taken ON taken.id = x.id
LEFT JOIN {schema}.worker AS holder ON holder.id = found.worker AND found.state = 2
CROSS JOIN LATERAL (
  SELECT CASE
    WHEN taken.id IS NOT NULL THEN 'taken'
    WHEN found.state = 2 AND x.losses > found.losses AND (holder.id IS NULL OR holder.seen + $6::float8 * holder.every <= now) THEN 'lost'
    WHEN found.state = 2 THEN 'wait'
    WHEN found.expires <= now THEN 'late'
    WHEN found.id IS NOT NULL THEN 'wait'
    WHEN EXISTS (SELECT FROM {schema}.ended WHERE ended.id = x.id AND ended.keep > now) THEN 'over'
    ELSE 'unknown'
  END AS what
) AS w
ORDER BY x.n
