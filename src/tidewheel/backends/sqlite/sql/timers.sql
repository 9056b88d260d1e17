-- When the next scheduled job is due, and when the next waiting job expires.
SELECT
  (SELECT due FROM job WHERE state = 0 ORDER BY due LIMIT 1),
  (SELECT expires FROM job WHERE state < 2 AND expires IS NOT NULL ORDER BY expires LIMIT 1)
