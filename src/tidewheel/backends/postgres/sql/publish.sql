-- Store jobs without keys. Arrays: $1 ids, $2 queues, $3 ranks, $4 tasks, $5 bodies, $6 headers, $7 delays, $8 due, $9 lifetimes, $10 expires.
-- $11 how many. Answers how many are new, and their ids if those are not all.
WITH new AS (
  INSERT INTO {schema}.job (id, queue, rank, task, body, headers, published, state, due, expires)
  SELECT id, queue, rank, task, body, headers, now, CASE WHEN start > now THEN 0 ELSE 1 END, start, least(now + lifetime, expires)
  FROM (
    SELECT x.*, clock.now, greatest(clock.now + x.delay, x.due) AS start
    FROM (SELECT {now} AS now) AS clock,
      unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::bytea[], $6::text[], $7::float8[], $8::float8[], $9::float8[], $10::float8[])
      AS x (id, queue, rank, task, body, headers, delay, due, lifetime, expires)
  ) AS moments
  ON CONFLICT DO NOTHING
  RETURNING id, published
), old AS MATERIALIZED (
  SELECT count(*) AS many, {schema}.known(array_agg(id), max(published)) AS ids FROM new
)
SELECT many - coalesce(cardinality(ids), 0),
  CASE WHEN many < $11::int8 OR ids IS NOT NULL THEN (SELECT array_agg(id::text) FROM new WHERE ids IS NULL OR id <> ALL(ids)) END
FROM old
