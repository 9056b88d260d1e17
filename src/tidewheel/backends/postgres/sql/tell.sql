-- Tell those who wait for results which jobs have ended. $1 the schema's number; arrays: $2 places, $4 ids; $3 the channel.
SELECT count(pg_notify($3::text, ids)), count(set_config('synchronous_commit', 'off', true))
FROM unnest($2::int8[], $4::text[]) AS bucket (place, ids)
WHERE NOT pg_try_advisory_xact_lock($1::int4, place::int4)
