-- The same, only of those that have ended.
SELECT id::text, state, value, error, reason, finished, attempts, NULL::bytea
FROM {schema}.ended WHERE id = ANY($1::uuid[]) AND keep > {now} AND until > {now}
UNION ALL
SELECT id::text, state, value, error, reason, finished, attempts, NULL FROM {schema}.archive WHERE id = ANY($1::uuid[]) AND until > {now}
