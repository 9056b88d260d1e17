-- Store one job. $1 id, $2 queue, $3 rank, $4 task, $5 body, $6 headers, $7 delay, $8 due, $9 lifetime, $10 expires, $11 key, $12 key window,
-- $13 and $14 the bell, $15 whether its id cannot have ended before. Answers nothing when its id is known or its key taken among the live; else whether it has ended before (and was
-- taken out again), and whether somebody may have to be rung. (As VALUES: the same as a SELECT takes a tenth longer.)
INSERT INTO {schema}.job (id, queue, rank, task, body, headers, published, state, due, expires, key, key_window)
VALUES (
  $1::uuid, $2::text, $3::smallint, $4::text, $5::bytea, $6::text, {now},
  CASE WHEN $7::float8 > 0 OR $8::float8 > {now} THEN 0 ELSE 1 END, greatest({now} + $7::float8, $8::float8),
  least({now} + $9::float8, $10::float8), $11::bytea, $12::float8
)
ON CONFLICT DO NOTHING
RETURNING CASE WHEN $15::boolean THEN false ELSE {schema}.known_one(id, published) END, NOT pg_try_advisory_xact_lock($13::int4, $14::int4)
