-- One long body.
SELECT body FROM payload WHERE id = ?
