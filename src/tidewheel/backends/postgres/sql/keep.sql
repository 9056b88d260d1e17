-- Keep results of jobs that another engine carries. Arrays: $1 ids, $2 deliveries, $3 states, $4 shown (seconds), $5 attempts, $6 reasons, $7 values,
-- $8 errors; $9 and $10 the bell of those who wait. Answers whether somebody may have to be rung.
WITH written AS (
  INSERT INTO {schema}.archive AS a (id, deliveries, state, until, finished, attempts, reason, value, error)
  SELECT x.id, x.deliveries, x.state, now + x.shown, now, x.attempts, x.reason, x.value, x.error
  FROM (SELECT {now} AS now) AS clock,
    unnest($1::uuid[], $2::int8[], $3::smallint[], $4::float8[], $5::int8[], $6::text[], $7::bytea[], $8::bytea[])
    AS x (id, deliveries, state, shown, attempts, reason, value, error)
  ORDER BY x.id
  ON CONFLICT (id) DO UPDATE SET
    deliveries = excluded.deliveries, state = excluded.state, until = excluded.until, finished = excluded.finished, attempts = excluded.attempts,
    reason = excluded.reason, value = excluded.value, error = excluded.error
  WHERE a.deliveries <= excluded.deliveries OR a.until <= excluded.finished
  RETURNING 1
), many AS MATERIALIZED (
  SELECT count(*) FROM written
)
SELECT NOT pg_try_advisory_xact_lock($9::int4, $10::int4) FROM many
