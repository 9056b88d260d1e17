-- Whose id or key it was that a job could not be stored. $1 id, $2 queue, $3 key
SELECT id::text FROM (
  SELECT id, 0 AS n FROM {schema}.job WHERE id = $1::uuid
  UNION ALL SELECT id, 1 FROM {schema}.ended WHERE id = $1::uuid AND keep > {now}
  UNION ALL SELECT id, 2 FROM {schema}.job WHERE queue = $2::text AND key = $3::bytea
) AS found ORDER BY n LIMIT 1
