-- What a running job says of itself, if the fence holds. data, id, worker, claim
UPDATE job SET progress = ? WHERE id = ? AND state = 2 AND worker = ? AND claim = ?
