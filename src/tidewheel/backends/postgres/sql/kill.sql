-- Declare a worker dead, unless it has beaten since. $1 id, $2 the beat that was seen. Waits for a claim of its that is under way.
DELETE FROM {schema}.worker WHERE id = $1::text AND beats = $2::int8 RETURNING id
