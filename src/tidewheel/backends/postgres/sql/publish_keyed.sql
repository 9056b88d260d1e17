-- After the INSERT of a keyed job: whether a job that has ended still has its key. $1 id, $2 queue, $3 key. Answers the holder, and takes
-- ours out again if there is one.
WITH holder AS MATERIALIZED (
  SELECT id FROM {schema}.ended WHERE queue = $2::text AND key = $3::bytea AND key_until > {now} AND id <> $1::uuid LIMIT 1
), out AS (
  DELETE FROM {schema}.job WHERE id = $1::uuid AND EXISTS (SELECT FROM holder)
)
SELECT id::text FROM holder
