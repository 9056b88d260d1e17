-- Delete jobs that wait. $1 ids. Answers how many.
-- (`ANY(ARRAY(…))`: `IN` would be a join, and the planner may go through all jobs for it.)
WITH gone AS (
  DELETE FROM {schema}.job WHERE id = ANY(ARRAY(SELECT id FROM {schema}.job WHERE id = ANY($1::uuid[]) AND state < 2 ORDER BY id FOR UPDATE)) RETURNING 1
)
SELECT count(*) FROM gone
