-- Put a dead job back as if it were new. $1 … $11 as unearth.sql answers, $12 length of a history. Answers nothing when its key is taken.
INSERT INTO {schema}.job (id, published, rank, deliveries, queue, task, key, key_window, headers, history, body, state, due)
SELECT $1::uuid, $2::float8, $3::smallint, $4::int4, $5::text, $6::text, $7::bytea, $8::float8, $9::text,
  CASE WHEN jsonb_array_length($10::jsonb) >= $12::int4 THEN $10::jsonb - 0 ELSE coalesce($10::jsonb, '[]') END
    || jsonb_build_object('at', now, 'event', 'revived', 'worker', ''), $11::bytea, 1, now
FROM (SELECT {now} AS now) AS clock
ON CONFLICT DO NOTHING
RETURNING true
