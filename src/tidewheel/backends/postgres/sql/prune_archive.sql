-- Delete results of other engines' jobs that are over. $1 most. Answers how many.
WITH gone AS (
  DELETE FROM {schema}.archive WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {schema}.archive WHERE until <= {now} ORDER BY until LIMIT $1::int8 FOR UPDATE SKIP LOCKED
  )) RETURNING 1
)
SELECT count(*) FROM gone
