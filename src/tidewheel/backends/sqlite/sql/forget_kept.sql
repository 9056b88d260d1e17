-- Delete the result of a job that another engine carries. id, now
DELETE FROM archive WHERE id = ? AND until > ?
