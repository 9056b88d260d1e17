-- Delete ended jobs whose retention is over, a limited number of them. now, limit
DELETE FROM job WHERE seq IN (SELECT seq FROM job WHERE state > 2 AND keep <= ? ORDER BY keep LIMIT ?) RETURNING id
