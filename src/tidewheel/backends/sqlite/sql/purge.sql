-- Delete jobs of a queue that wait, a limited number of them. ?1 queue, ?2 limit
DELETE FROM job WHERE seq IN (
  SELECT seq FROM job WHERE state = 1 AND queue = ?1
  UNION ALL
  SELECT seq FROM job WHERE state = 0 AND queue = ?1
  LIMIT ?2
)
RETURNING id
