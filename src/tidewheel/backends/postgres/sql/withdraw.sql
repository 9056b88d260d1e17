-- Delete jobs that wait. $1 ids. Answers how many.
WITH gone AS (
  DELETE FROM {schema}.job WHERE id = ANY(ARRAY(SELECT id FROM {schema}.job WHERE id = ANY($1::uuid[]) AND state < 2 ORDER BY id FOR UPDATE)) RETURNING 1
)
SELECT count(*) FROM gone
