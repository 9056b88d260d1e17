-- The workers that have not been declared dead: what each says of itself, how much it holds, when it last beat.
SELECT info, (SELECT count(*) FROM {schema}.job WHERE state = 2 AND job.worker = worker.id), seen FROM {schema}.worker ORDER BY id
