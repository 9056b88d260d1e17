-- What taking must know of a job whose message has arrived.
SELECT seq, state, queue, due, expires, losses FROM job WHERE id = ?
