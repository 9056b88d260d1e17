-- What a job that was just stored has behind it already. $1 id, $2 published, $3 deliveries, $4 attempts, $5 strikes, $6 losses
UPDATE {schema}.job SET published = $2::float8, deliveries = $3::int4, attempts = $4::int4, strikes = $5::int4, losses = $6::int4 WHERE id = $1::uuid
