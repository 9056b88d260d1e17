-- What a worker wants to know that claims now and then, and each time when it finds nothing. $1 worker. Answers whether it is alive, whether any
-- waiting job is too late, and the seconds until the next one is due.
SELECT EXISTS (SELECT FROM {schema}.worker WHERE id = $1::text),
  EXISTS (SELECT FROM {schema}.job WHERE state < 2 AND expires IS NOT NULL AND expires <= {now}),
  (SELECT due FROM {schema}.job WHERE state = 0 ORDER BY due LIMIT 1) - {now}
