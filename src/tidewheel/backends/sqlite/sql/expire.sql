-- End waiting jobs that are too late, a limited number of them. :now, :limit, :until, :keep
UPDATE job SET state = 6, finished = :now, until = :now + :until, keep = :now + max(:keep, coalesce(key_window, 0)), body = NULL
WHERE seq IN (SELECT seq FROM job WHERE state < 2 AND expires IS NOT NULL AND expires <= :now ORDER BY expires LIMIT :limit)
RETURNING id
