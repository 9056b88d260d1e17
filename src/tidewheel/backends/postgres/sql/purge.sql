-- Delete jobs of a queue that wait. $1 queue, $2 most. Answers how many.
WITH gone AS (
  DELETE FROM {schema}.job WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {schema}.job WHERE queue = $1::text AND state < 2 LIMIT $2::int8 FOR UPDATE SKIP LOCKED
  )) RETURNING 1
)
SELECT count(*) FROM gone
