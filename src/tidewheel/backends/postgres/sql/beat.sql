-- Keep a lease. $1 worker. Answers nothing when it is over; else how many jobs it holds, and which of them are to be cancelled.
WITH beat AS (
  UPDATE {schema}.worker SET beats = beats + 1, seen = {now}
  WHERE id = $1::text AND set_config('synchronous_commit', 'off', true) IS NOT NULL
  RETURNING id
)
SELECT (SELECT count(*) FROM {schema}.job WHERE state = 2 AND worker = $1::text),
  (SELECT array_agg(job.id::text) FROM {schema}.job WHERE state = 2 AND worker = $1::text AND cancel)
FROM beat
