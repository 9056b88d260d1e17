-- What is known of some jobs. $1 ids
SELECT id::text, state, NULL::bytea, NULL::bytea, NULL::text, NULL::float8, attempts, progress FROM {schema}.job WHERE id = ANY($1::uuid[])
UNION ALL
SELECT id::text, state, value, error, reason, finished, attempts, NULL FROM {schema}.ended WHERE id = ANY($1::uuid[]) AND keep > {now} AND until > {now}
UNION ALL
SELECT id::text, state, value, error, reason, finished, attempts, NULL FROM {schema}.archive WHERE id = ANY($1::uuid[]) AND until > {now}
