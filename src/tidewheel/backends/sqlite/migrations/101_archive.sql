-- Results of jobs that another engine carries. Apart from the jobs: nobody here may revive or count them.
CREATE TABLE archive (
  id TEXT PRIMARY KEY,
  deliveries INTEGER NOT NULL,              -- the fence: a later delivery's outcome replaces an earlier one's
  state INTEGER NOT NULL,                   -- as in job
  until REAL NOT NULL,
  finished REAL NOT NULL,
  attempts INTEGER NOT NULL,
  reason TEXT,
  value BLOB,
  error BLOB
);
CREATE INDEX archive_until ON archive (until);
