-- A worker begins. $1 id, $2 lease, $3 seconds between beats, $4 what it says of itself.
INSERT INTO {schema}.worker (id, seen, lease, every, info) VALUES ($1::text, {now}, $2::float8, $3::float8, $4::text)
