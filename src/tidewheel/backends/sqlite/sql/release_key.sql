-- Take a key away from an ended job whose window is over. queue, key, now
UPDATE job SET key = NULL WHERE queue = ? AND key = ? AND state > 2 AND finished + key_window <= ?
