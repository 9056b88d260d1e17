-- Make jobs ready whose time has come. $1 most. Answers the queue of each.
UPDATE {schema}.job SET state = 1
WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM {schema}.job WHERE state = 0 AND due <= {now} ORDER BY due LIMIT $1::int8 FOR UPDATE SKIP LOCKED
)) AND set_config('synchronous_commit', 'off', true) IS NOT NULL
RETURNING queue
