-- Whether there is anything to do: due jobs, late jobs, results of others that are over.
SELECT
  EXISTS (SELECT FROM {schema}.job WHERE state = 0 AND due <= now),
  EXISTS (SELECT FROM {schema}.job WHERE state < 2 AND expires IS NOT NULL AND expires <= now),
  EXISTS (SELECT FROM {schema}.archive WHERE until <= now), now
FROM (SELECT {now} AS now) AS clock
