-- What running jobs say of themselves. Arrays: $1 ids, $2 workers, $3 claims, $4 data. Who is just being settled is left alone.
-- (`state + 0`: no index fits it but that of ids.)
WITH x AS MATERIALIZED (
  SELECT j.place, x.data
  FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::bytea[]) AS x (id, worker, claim, data), LATERAL (
    SELECT job.ctid AS place, job.state, job.worker, job.claim FROM {schema}.job WHERE job.id = x.id FOR UPDATE SKIP LOCKED
  ) AS j
  WHERE j.state + 0 = 2 AND j.worker = x.worker AND j.claim = x.claim AND set_config('synchronous_commit', 'off', true) IS NOT NULL
)
UPDATE {schema}.job AS j SET progress = x.data FROM x WHERE j.ctid = x.place
