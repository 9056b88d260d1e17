-- Delete the results of other engines' jobs whose time is over, a limited number of them. now, limit
DELETE FROM archive WHERE id IN (SELECT id FROM archive WHERE until <= ? ORDER BY until LIMIT ?)
