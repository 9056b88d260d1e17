-- Tell workers that something is asked of them. $1 channels.
SELECT count(pg_notify(channel, 'news')), count(set_config('synchronous_commit', 'off', true)) FROM unnest($1::text[]) AS worker (channel)
