-- The first schema. Moments are epoch seconds. {schema} stands for the name of the schema.

-- Live jobs only. What has ended moves to `ended`: dead rows and old index entries are what makes a queue in PostgreSQL slow, not its depth.
CREATE TABLE {schema}.job (
  id uuid NOT NULL,
  seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,       -- the order of publication
  published double precision NOT NULL,
  due double precision NOT NULL,                          -- may start from then on
  expires double precision,                               -- must have started by then
  started double precision,                               -- of the last delivery
  claim bigint,                                           -- the fence: the worker's own count of claims …
  worker text COLLATE "C",                                -- … and its incarnation
  state smallint NOT NULL,                                -- 0 scheduled, 1 ready, 2 running
  rank smallint NOT NULL,                                 -- minus the priority: lowest first
  deliveries integer NOT NULL DEFAULT 0,
  attempts integer NOT NULL DEFAULT 0,
  strikes integer NOT NULL DEFAULT 0,
  losses integer NOT NULL DEFAULT 0,
  cancel boolean NOT NULL DEFAULT false,                  -- its cancellation was asked for while it ran
  queue text COLLATE "C" NOT NULL,
  task text COLLATE "C" NOT NULL,
  key bytea,                                              -- UTF-8, for a text cannot hold every character
  key_window double precision,
  headers text,                                           -- JSON, or NULL for none
  history jsonb,                                          -- what happened to it besides running well; NULL: nothing
  progress bytea,
  body bytea NOT NULL,
  CONSTRAINT job_id PRIMARY KEY (id)
) WITH (
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0,
  autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.1, toast.autovacuum_vacuum_cost_delay = 0
);
ALTER TABLE {schema}.job ALTER body SET STORAGE EXTERNAL;  -- it is opaque, mostly small, and was compressed by whoever cares
CREATE INDEX job_ready ON {schema}.job (queue, rank, seq) WHERE state = 1;
CREATE INDEX job_due ON {schema}.job (due) WHERE state = 0;
CREATE INDEX job_held ON {schema}.job (worker) WHERE state = 2;
CREATE INDEX job_expires ON {schema}.job (expires) WHERE state < 2 AND expires IS NOT NULL;
CREATE UNIQUE INDEX job_key ON {schema}.job (queue, key) WHERE key IS NOT NULL;

-- One row a worker that lives. A beat is a HOT update: nothing that changes is in an index. A claim locks it FOR KEY SHARE, which only
-- the row's deletion conflicts with: so a worker that was declared dead claims nothing.
CREATE TABLE {schema}.worker (
  id text COLLATE "C" PRIMARY KEY,
  beats bigint NOT NULL DEFAULT 0,
  seen double precision NOT NULL,
  lease double precision NOT NULL,                        -- seconds without a beat after which it is suspected …
  every double precision NOT NULL,                        -- … and between two looks of who suspects it
  info text NOT NULL                                      -- JSON
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What has ended, for as long as anybody may ask. Partitioned by when it may go: a whole partition is dropped, no row is ever deleted
-- one by one (but by a person who revives or buries a dead letter).
CREATE TABLE {schema}.ended (
  id uuid NOT NULL,
  keep double precision NOT NULL,                         -- it is remembered until then …
  until double precision NOT NULL,                        -- … and its result is shown until then
  finished double precision NOT NULL,
  published double precision NOT NULL,
  due double precision NOT NULL,
  expires double precision,
  started double precision,
  key_until double precision,                             -- its key is taken until then
  state smallint NOT NULL,                                -- 3 succeeded, 4 dead, 5 cancelled, 6 expired
  rank smallint NOT NULL,
  deliveries integer NOT NULL,
  attempts integer NOT NULL,
  strikes integer NOT NULL,
  losses integer NOT NULL,
  queue text COLLATE "C" NOT NULL,
  task text COLLATE "C" NOT NULL,
  worker text COLLATE "C",
  reason text,                                            -- why it is dead
  key bytea,
  key_window double precision,
  headers text,
  history jsonb,
  error bytea,
  value bytea,
  body bytea                                              -- of a dead one, for its revival
) PARTITION BY RANGE (keep);
CREATE INDEX ended_id ON {schema}.ended (id);
CREATE INDEX ended_failed ON {schema}.ended (state, id) WHERE state > 3;
CREATE INDEX ended_key ON {schema}.ended (queue, key) WHERE key IS NOT NULL;

-- Results of jobs that another engine carries. Apart from the jobs: nobody here may revive or count them.
CREATE TABLE {schema}.archive (
  id uuid PRIMARY KEY,
  until double precision NOT NULL,
  finished double precision NOT NULL,
  deliveries integer NOT NULL,                            -- the fence: a later delivery's outcome replaces an earlier one's
  attempts integer NOT NULL,
  state smallint NOT NULL,
  reason text,
  value bytea,
  error bytea
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX archive_until ON {schema}.archive (until);

-- Of jobs that were just stored: those that have ended before, or whose key belongs to one that has. They are taken out again.
-- It is asked *after* the INSERT and with a snapshot of its own, as every statement of a volatile function: an INSERT that waited for the
-- settlement of the same job would not see in its own snapshot what became of it. (The plan is a generic one: making a new one each time would
-- take longer than storing the job. It may be made while the tables are empty, and must be good when they are full.)
CREATE FUNCTION {schema}.known(ids uuid[], at double precision) RETURNS uuid[] LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $body$
DECLARE found uuid[];
BEGIN
  SELECT array_agg(e.id) INTO found FROM {schema}.ended e WHERE e.id = ANY(ids) AND e.keep > at;
  IF found IS NOT NULL THEN
    DELETE FROM {schema}.job WHERE id = ANY(found);
  END IF;
  RETURN found;
END
$body$;

-- The same of a single job, which is cheaper.
CREATE FUNCTION {schema}.known_one(one uuid, at double precision) RETURNS boolean LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $body$
BEGIN
  IF EXISTS (SELECT FROM {schema}.ended e WHERE e.id = one AND e.keep > at) THEN
    DELETE FROM {schema}.job WHERE id = one;
    RETURN true;
  END IF;
  RETURN false;
END
$body$;

-- All jobs, live and ended. (Those whose `keep` is over are forgotten already, although they may be there still.)
CREATE VIEW {schema}.jobs AS
SELECT id, state, task, queue, rank, published, due, started, NULL::double precision AS finished, expires, key, worker, deliveries, attempts, strikes,
  losses, cancel, NULL::text AS reason, body, NULL::bytea AS value, NULL::bytea AS error, progress, headers, history, NULL::double precision AS keep
FROM {schema}.job
UNION ALL
SELECT id, state, task, queue, rank, published, due, started, finished, expires, key, worker, deliveries, attempts, strikes,
  losses, false, reason, body, value, error, NULL, headers, history, keep
FROM {schema}.ended;
