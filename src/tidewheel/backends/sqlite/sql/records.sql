-- What is known of some jobs. ?1 their ids as JSON, ?2 now
SELECT id, state, value, error, reason, finished, attempts, progress
FROM job WHERE id IN (SELECT value FROM json_each(?1)) AND (state < 3 OR until > ?2)
UNION ALL
SELECT id, state, value, error, reason, finished, attempts, NULL
FROM archive WHERE id IN (SELECT value FROM json_each(?1)) AND until > ?2
