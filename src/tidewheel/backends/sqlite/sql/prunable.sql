-- Whether the retention of anything is over. ?1 now
SELECT 1 FROM job WHERE state > 2 AND keep <= ?1
UNION ALL SELECT 1 FROM archive WHERE until <= ?1
LIMIT 1
