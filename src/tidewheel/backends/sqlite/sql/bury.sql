-- Delete one dead letter.
DELETE FROM job WHERE id = ? AND state = 4
