-- Store one job; nothing happens when its id is known or its key is taken in its queue.
INSERT INTO job (id, task, queue, state, rank, published, due, expires, key, key_window, headers, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
