-- A worker ends.
DELETE FROM worker WHERE id = ?
