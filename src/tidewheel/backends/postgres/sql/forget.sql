-- Delete results; that the jobs were stays known, and dead letters stay. $1 ids. Answers how many there were.
WITH ours AS (
  UPDATE {schema}.ended SET until = 0, value = NULL, error = CASE WHEN state = 4 THEN error END
  WHERE id = ANY($1::uuid[]) AND keep > {now} AND until > {now} RETURNING 1
), theirs AS (
  DELETE FROM {schema}.archive WHERE id = ANY($1::uuid[]) AND until > {now} RETURNING 1
)
SELECT (SELECT count(*) FROM ours) + (SELECT count(*) FROM theirs)
