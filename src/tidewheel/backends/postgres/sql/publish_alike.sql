-- Store jobs that differ in nothing but body and headers. $1 ids, $2 bodies, $3 headers or NULL; $4 queue, $5 rank, $6 task; $7 how many.
-- Answers as publish.sql.
WITH new AS (
  INSERT INTO {schema}.job (id, queue, rank, task, body, headers, published, state, due)
  SELECT id, $4::text, $5::smallint, $6::text, body, headers, now, 1, now
  FROM (SELECT {now} AS now) AS clock, unnest($1::uuid[], $2::bytea[], $3::text[]) AS x (id, body, headers)
  ON CONFLICT DO NOTHING
  RETURNING id, published
), old AS MATERIALIZED (
  SELECT count(*) AS many, {schema}.known(array_agg(id), max(published)) AS ids FROM new
)
SELECT many - coalesce(cardinality(ids), 0),
  CASE WHEN many < $7::int8 OR ids IS NOT NULL THEN (SELECT array_agg(id::text) FROM new WHERE ids IS NULL OR id <> ALL(ids)) END
FROM old
