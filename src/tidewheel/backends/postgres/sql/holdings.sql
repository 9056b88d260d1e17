-- What a dead worker holds, or some of it. $1 worker, $2 most
SELECT id::text, claim, cancel, attempts, strikes, losses FROM {schema}.job WHERE state = 2 AND worker = $1::text ORDER BY id LIMIT $2::int8
