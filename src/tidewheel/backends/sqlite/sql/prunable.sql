-- Whether any ended job's retention is over. now
SELECT 1 FROM job WHERE state > 2 AND keep <= ? LIMIT 1
