-- Put one dead job back as if it were new. ?1 now, ?2 id
UPDATE job SET
  seq = (SELECT max(seq) + 1 FROM job), state = 1, due = ?1, expires = NULL, started = NULL, finished = NULL, until = NULL, keep = NULL,
  worker = NULL, claim = NULL, attempts = 0, strikes = 0, losses = 0, reason = NULL, error = NULL
WHERE id = ?2 AND state = 4
RETURNING queue
