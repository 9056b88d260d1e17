-- Settle one delivery as succeeded, if its fence holds. ?1 now, ?2 value, ?3 ttl, ?4 id, ?5 worker, ?6 claim
UPDATE job SET
  state = 3, finished = ?1, until = ?1 + iif(?3 > 0, ?3, 60.0), keep = ?1 + max(?3, 60.0, coalesce(key_window, 0)),
  cancel = 0, value = iif(?3 > 0, ?2, NULL), body = NULL, progress = NULL
WHERE id = ?4 AND state = 2 AND worker = ?5 AND claim = ?6
