-- Workers that hold jobs and are not there any more. One step through the index for each worker that holds any.
WITH RECURSIVE holder (worker) AS (
  (SELECT worker FROM {schema}.job WHERE state = 2 ORDER BY worker LIMIT 1)
  UNION ALL
  SELECT (SELECT j.worker FROM {schema}.job AS j WHERE j.state = 2 AND j.worker > holder.worker ORDER BY j.worker LIMIT 1)
  FROM holder WHERE holder.worker IS NOT NULL
)
SELECT worker FROM holder WHERE worker IS NOT NULL AND NOT EXISTS (SELECT FROM {schema}.worker AS w WHERE w.id = holder.worker)
