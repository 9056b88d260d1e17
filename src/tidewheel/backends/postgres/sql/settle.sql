-- Write outcomes of every kind. Arrays: $1 ids, $2 workers, $3 claims; $4 state (1: back to its queue, else how it ended), $5 shown and $6 kept
-- (seconds), $7 the counter that goes up (0 none, 1 attempts, 2 strikes, 3 losses), $8 event or reason, $9 error, $10 value, $11 delay;
-- $12 shown and $13 kept of one that was to be cancelled; $14 and $15 the bell of those who wait; $16 length of a history.
-- Answers for each that was running: id, whether it was written, whether the token was right, its queue if it is ready again.
-- Each row is found by its id and changed at its place, whatever the planner thinks of the table (hence OFFSET 0, and `state + 0`, which no partial
-- index fits): any other way goes through all jobs that run, or all there are.
WITH clock AS MATERIALIZED (
  SELECT {now} AS now
), x AS MATERIALIZED (
  SELECT x.*, j.place, j.state AS is, j.worker = x.worker AND j.claim = x.claim AS ours
  FROM unnest(
    $1::uuid[], $2::text[], $3::int8[], $4::smallint[], $5::float8[], $6::float8[], $7::smallint[], $8::text[], $9::bytea[], $10::bytea[], $11::float8[]
  ) AS x (id, worker, claim, state, shown, kept, counted, word, error, value, delay), LATERAL (SELECT job.ctid AS place, job.state, job.worker, job.claim FROM {schema}.job WHERE job.id = x.id OFFSET 0) AS j
), was AS MATERIALIZED (
  SELECT id, ours FROM x WHERE x.is = 2
), gone AS (
  DELETE FROM {schema}.job AS j USING x
  WHERE j.ctid = x.place AND j.state + 0 = 2 AND j.worker = x.worker AND j.claim = x.claim AND (x.state > 2 OR j.cancel)
  RETURNING j.id, j.published, j.due, j.expires, j.started, j.rank, j.deliveries, j.attempts, j.strikes, j.losses, j.queue, j.task, j.worker, j.key,
    j.key_window, j.headers, j.history, j.body, x.value, x.word, x.error, x.counted,
    -- Back to its queue, but its cancellation was asked for between the worker's decision and now: it must not run once more.
    CASE WHEN x.state > 2 THEN x.state ELSE 5 END AS state, CASE WHEN x.state > 2 THEN x.shown ELSE $12::float8 END AS shown,
    CASE WHEN x.state > 2 THEN x.kept ELSE $13::float8 END AS kept
), written AS (
  INSERT INTO {schema}.ended (
    id, keep, until, finished, published, due, expires, started, key_until, state, rank, deliveries, attempts, strikes, losses, queue, task, worker,
    reason, key, key_window, headers, history, error, value, body)
  SELECT id, now + greatest(kept, key_window), now + shown, now, published, due, expires, started, now + key_window, state, rank, deliveries,
    attempts + (counted = 1)::int, strikes + (counted = 2)::int, losses + (counted = 3)::int, queue, task, worker,
    CASE WHEN state = 4 THEN word END, key, key_window, headers,
    CASE WHEN state = 4 THEN
      CASE WHEN jsonb_array_length(history) >= $16::int4 THEN history - 0 ELSE coalesce(history, '[]') END
        || jsonb_build_object('at', now, 'event', 'dead', 'worker', worker, 'detail', encode(error, 'base64'))
    ELSE history END,
    CASE WHEN state = 4 THEN error END, value, CASE WHEN state = 4 THEN body END
  FROM gone, clock
  RETURNING id
), back AS (
  UPDATE {schema}.job AS j SET
    state = CASE WHEN x.delay > 0 THEN 0 ELSE 1 END, due = now + x.delay, worker = NULL, claim = NULL, progress = NULL,
    attempts = attempts + (x.counted = 1)::int, strikes = strikes + (x.counted = 2)::int, losses = losses + (x.counted = 3)::int,
    history = CASE WHEN x.word IS NULL THEN history ELSE
      CASE WHEN jsonb_array_length(history) >= $16::int4 THEN history - 0 ELSE coalesce(history, '[]') END
        || jsonb_build_object('at', now, 'event', x.word, 'worker', x.worker, 'detail', encode(x.error, 'base64'))
    END
  FROM x, clock
  WHERE j.ctid = x.place AND j.state + 0 = 2 AND j.worker = x.worker AND j.claim = x.claim AND x.state = 1 AND NOT j.cancel
  RETURNING j.id, CASE WHEN j.state = 1 THEN j.queue END AS ready
), done AS MATERIALIZED (
  SELECT id, NULL AS ready FROM written UNION ALL SELECT id, ready FROM back
)
SELECT was.id::text, done.id IS NOT NULL, was.ours, done.ready, EXISTS (SELECT FROM written) AND NOT pg_try_advisory_xact_lock($14::int4, $15::int4)
FROM was LEFT JOIN done ON done.id = was.id
