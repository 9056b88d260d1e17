-- Delete one job that waits.
DELETE FROM job WHERE id = ? AND state < 2
