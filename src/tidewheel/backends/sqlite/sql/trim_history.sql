-- Forget all but the last entries of a job. ?1 id, ?2 how many stay
DELETE FROM history WHERE id = ?1 AND n <= (SELECT n FROM history WHERE id = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)
