-- Make the jobs ready whose time has come, a limited number of them. now, limit
UPDATE job SET state = 1
WHERE seq IN (SELECT seq FROM job WHERE state = 0 AND due <= ? ORDER BY due LIMIT ?)
RETURNING queue
