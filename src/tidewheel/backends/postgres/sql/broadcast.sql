-- Say something to everybody who listens. $1 the schema's number, $2 the place of the listeners, $3 the channel, $4 the pieces. Answers how many
-- listen.
SELECT (
  SELECT count(*) FROM pg_locks
  WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = ($1::int8 & 4294967295)::oid AND objid = ($2::int8 & 4294967295)::oid AND objsubid = 2 AND granted
), count(pg_notify($3::text, piece)), count(set_config('synchronous_commit', 'off', true))
FROM unnest($4::text[]) AS said (piece)
