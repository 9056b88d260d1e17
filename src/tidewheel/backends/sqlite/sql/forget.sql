-- Delete the result of one ended job; the row stays as long as duplicates must be recognised, and a dead letter stays. ?1 id, ?2 now
UPDATE job SET
  until = 0, value = NULL, error = iif(state = 4, error, NULL),
  keep = iif(state = 4, keep, finished + max(60.0, coalesce(key_window, 0)))
WHERE id = ?1 AND state > 2 AND until > ?2
