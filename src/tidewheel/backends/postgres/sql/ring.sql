-- Tell idle workers that there are jobs in a queue. $1 the schema's number, $4 the queue, $5 how many of its seats to ring at most; arrays, one
-- entry a seat: $2 place, $3 channel.
SELECT pg_notify(channel, $4::text), set_config('synchronous_commit', 'off', true)
FROM unnest($2::int8[], $3::text[]) AS seat (place, channel)
WHERE NOT pg_try_advisory_xact_lock($1::int4, place::int4)
LIMIT $5::int8
