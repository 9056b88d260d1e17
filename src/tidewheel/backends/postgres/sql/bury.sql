-- Delete dead letters. $1 ids. Answers which.
DELETE FROM {schema}.ended WHERE id = ANY($1::uuid[]) AND state = 4 AND keep > {now} RETURNING id::text
