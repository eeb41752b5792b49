-- Copies of an app's data at moments; their content is in the app's snapshots folder.
CREATE TABLE snapshots (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  app_id   INTEGER NOT NULL REFERENCES apps(id),
  -- Rises with each snapshot of the app: what people see, and what its files are named by.
  moment   INTEGER NOT NULL,
  taken    INTEGER NOT NULL,
  -- 'asked', 'deploy', 'stop', 'schedule', 'restore' (the data as it was before one).
  why      TEXT NOT NULL,
  -- Pinned by a person, under this name.
  name     TEXT,
  -- The deploy it was taken just before.
  deploy   INTEGER REFERENCES deploys(id),
  -- What it added on disk, and what the data takes when it is laid out.
  added    INTEGER NOT NULL,
  bytes    INTEGER NOT NULL,
  -- What could not be taken, a line each.
  notes    TEXT NOT NULL DEFAULT '',
  UNIQUE (app_id, moment)
) STRICT;

-- A restore that has begun: what the home holds may be half of it. Done again at the next start after a crash.
CREATE TABLE restores (
  app_id   INTEGER PRIMARY KEY REFERENCES apps(id),
  moment   INTEGER NOT NULL
) STRICT;
