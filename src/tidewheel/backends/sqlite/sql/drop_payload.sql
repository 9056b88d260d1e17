-- Delete one long body.
DELETE FROM payload WHERE id = ?
