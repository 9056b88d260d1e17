-- The same, only of those that have ended.
SELECT id, state, value, error, reason, finished, attempts, progress
FROM job WHERE id IN (SELECT value FROM json_each(?1)) AND state > 2 AND until > ?2
UNION ALL
SELECT id, state, value, error, reason, finished, attempts, NULL
FROM archive WHERE id IN (SELECT value FROM json_each(?1)) AND until > ?2
