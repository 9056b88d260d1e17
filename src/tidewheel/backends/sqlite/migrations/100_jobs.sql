-- The first schema. One row is one job from its publication to the end of its retention: to settle it is one UPDATE, which costs half
-- of moving it to a table of ended jobs. Partial indexes keep the states apart, so a claim sees only what is ready.
CREATE TABLE job (
  seq INTEGER PRIMARY KEY,                  -- the order of publication
  id TEXT NOT NULL UNIQUE,
  task TEXT NOT NULL,
  queue TEXT NOT NULL,
  state INTEGER NOT NULL,                   -- 0 scheduled, 1 ready, 2 running, 3 succeeded, 4 dead, 5 cancelled, 6 expired
  rank INTEGER NOT NULL,                    -- minus the priority: lowest first
  published REAL NOT NULL,                  -- moments are epoch seconds
  due REAL NOT NULL,                        -- may start from then on
  expires REAL,                             -- must have started by then
  started REAL,                             -- of the last delivery
  finished REAL,
  until REAL,                               -- of an ended job: its result is shown until then …
  keep REAL,                                -- … and its row kept until then
  worker TEXT,                              -- the fence: incarnation of the worker …
  claim INTEGER,                            -- … and its own count of claims
  deliveries INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  strikes INTEGER NOT NULL DEFAULT 0,
  losses INTEGER NOT NULL DEFAULT 0,
  cancel INTEGER NOT NULL DEFAULT 0,        -- 1: its cancellation was asked for while it ran
  key TEXT,                                 -- taken away when its window is over and somebody else wants it
  key_window REAL,
  headers TEXT,                             -- JSON, or NULL for none
  reason TEXT,                              -- why it is dead
  progress BLOB,
  value BLOB,
  error BLOB,
  body BLOB                                 -- NULL: see payload; dropped at the end, except of the dead
);
-- The state is in some of them once more because SQLite looks it up in the row otherwise, even where the index implies it.
CREATE INDEX job_ready ON job (queue, rank, seq, due, state) WHERE state = 1;
CREATE INDEX job_due ON job (due, queue, state) WHERE state = 0;
CREATE INDEX job_held ON job (worker, cancel, queue, state) WHERE state = 2;
CREATE INDEX job_expires ON job (expires) WHERE state < 2 AND expires IS NOT NULL;
CREATE INDEX job_keep ON job (keep) WHERE state > 2;
CREATE INDEX job_failed ON job (state, queue, id) WHERE state > 3;
CREATE UNIQUE INDEX job_key ON job (queue, key) WHERE key IS NOT NULL;

-- Long bodies, so that no UPDATE of a job writes them again.
CREATE TABLE payload (
  id TEXT PRIMARY KEY,
  body BLOB NOT NULL
);

-- What happened to a job besides running well.
CREATE TABLE history (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  at REAL NOT NULL,
  event TEXT NOT NULL,
  worker TEXT NOT NULL DEFAULT '',
  detail BLOB
);
CREATE INDEX history_job ON history (id, n);

-- Workers that said hello and not goodbye. Whether one lives is told by its lifeline, not by this row.
CREATE TABLE worker (
  id TEXT PRIMARY KEY,
  info TEXT NOT NULL                        -- JSON
);
