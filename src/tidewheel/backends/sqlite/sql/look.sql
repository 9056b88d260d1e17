-- What settling, cancelling and taking back must know of one job.
SELECT seq, state, worker, claim, cancel, attempts, strikes, losses, queue FROM job WHERE id = ?
