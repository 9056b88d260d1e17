-- Who has a key. queue, key
SELECT id FROM job WHERE queue = ? AND key = ?
