-- Put one running job back into its queue.
UPDATE job SET
  state = :state, due = :due, worker = NULL, claim = NULL, progress = NULL,
  attempts = attempts + :attempts, strikes = strikes + :strikes, losses = losses + :losses
WHERE seq = :seq
