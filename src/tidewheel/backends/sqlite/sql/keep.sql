-- Keep the result of a job that another engine carries. id, deliveries, state, until, finished, attempts, reason, value, error
INSERT INTO archive (id, deliveries, state, until, finished, attempts, reason, value, error)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (id) DO UPDATE SET
  deliveries = ?2, state = ?3, until = ?4, finished = ?5, attempts = ?6, reason = ?7, value = ?8, error = ?9
WHERE deliveries <= ?2 OR until <= ?5
