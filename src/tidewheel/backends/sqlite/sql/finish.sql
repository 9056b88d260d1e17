-- End one job, not as succeeded. The body of a dead one stays, for its revival.
UPDATE job SET
  state = :state, finished = :now, until = :now + :until, keep = :now + max(:keep, coalesce(key_window, 0)), cancel = 0,
  reason = :reason, error = :error, value = :value, progress = NULL, body = iif(:state = 4, body, NULL),
  attempts = attempts + :attempts, strikes = strikes + :strikes, losses = losses + :losses
WHERE seq = :seq
