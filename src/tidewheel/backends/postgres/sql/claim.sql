-- Hand jobs to a worker. $1 worker, $2 claim, $4 most; arrays, one entry a leg: $3 queue, $5 and $6 the rank and the number after which it begins,
-- $7 the rank before which it ends. Answers the jobs; none also when the worker is dead (look.sql tells).
--
-- `found` is materialised: otherwise the planner may run it again and lock more rows than the limit. The worker's row is locked only where
-- there is something to take, so that an idle worker writes nothing. Losing a claim in a crash only delivers the job again, so it does
-- not wait for the disk.
WITH found AS MATERIALIZED (
  SELECT next.place
  FROM unnest($3::text[], $5::smallint[], $6::int8[], $7::smallint[]) AS leg (queue, rank, seq, below), LATERAL (
    SELECT job.ctid AS place FROM {schema}.job
    WHERE job.queue = leg.queue AND (job.rank, job.seq) > (leg.rank, leg.seq) AND job.rank < leg.below AND job.state = 1
      AND (job.expires IS NULL OR job.expires > {now})
    ORDER BY job.queue, job.rank, job.seq LIMIT $4::int8 FOR UPDATE SKIP LOCKED
  ) AS next
  LIMIT $4::int8
), alive AS MATERIALIZED (
  SELECT set_config('synchronous_commit', 'off', true) FROM {schema}.worker
  WHERE id = $1::text AND EXISTS (SELECT FROM found) FOR KEY SHARE
)
UPDATE {schema}.job SET state = 2, worker = $1::text, claim = $2::int8, started = {now}, deliveries = deliveries + 1
WHERE ctid = ANY(ARRAY(SELECT place FROM found)) AND EXISTS (SELECT FROM alive)
RETURNING rank, seq, id::text, queue, task, body, headers, key, key_window, expires, published, deliveries, attempts, strikes, losses
