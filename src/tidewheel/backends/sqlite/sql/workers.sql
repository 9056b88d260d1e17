-- Workers that said hello and not goodbye, and how much they hold.
SELECT info, (SELECT count(*) FROM job WHERE state = 2 AND job.worker = worker.id) FROM worker ORDER BY id
