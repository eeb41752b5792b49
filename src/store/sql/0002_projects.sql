-- A project is a name, a repository and settings. Ids are never reused: they name folders and uids.
CREATE TABLE projects (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  owner_id     INTEGER NOT NULL REFERENCES users(id),
  name         TEXT NOT NULL,
  public_code  INTEGER NOT NULL DEFAULT 0,
  forked_from  INTEGER,
  created      INTEGER NOT NULL,
  deleted      INTEGER,
  expires      INTEGER
) STRICT;
CREATE UNIQUE INDEX projects_live ON projects(owner_id, name) WHERE deleted IS NULL;

-- Old USER/PROJECT names that still lead to the project.
CREATE TABLE project_redirects (
  owner_id   INTEGER NOT NULL REFERENCES users(id),
  name       TEXT NOT NULL,
  project_id INTEGER NOT NULL REFERENCES projects(id),
  PRIMARY KEY (owner_id, name)
) STRICT;

CREATE TABLE members (
  project_id INTEGER NOT NULL REFERENCES projects(id),
  user_id    INTEGER NOT NULL REFERENCES users(id),
  role       TEXT NOT NULL CHECK (role IN ('viewer','deployer','owner')),
  PRIMARY KEY (project_id, user_id)
) STRICT;

-- What a project runs as. owner_host and epoch are there so that an app can move between hosts later:
-- every side effect on an app's data is stamped with the epoch.
CREATE TABLE apps (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id    INTEGER NOT NULL REFERENCES projects(id),
  kind          TEXT NOT NULL DEFAULT 'production',
  host          TEXT NOT NULL,
  owner_host    TEXT NOT NULL DEFAULT 'local',
  epoch         INTEGER NOT NULL DEFAULT 1,
  live_deploy   INTEGER,
  env_version   INTEGER NOT NULL DEFAULT 0,
  paused        INTEGER NOT NULL DEFAULT 0,
  created       INTEGER NOT NULL
) STRICT;

-- Every host label on this server, once: an app's own, and old ones that redirect to it.
CREATE TABLE hosts (
  label   TEXT PRIMARY KEY,
  app_id  INTEGER NOT NULL REFERENCES apps(id),
  current INTEGER NOT NULL
) STRICT;

-- One commit, checked out and prepared.
CREATE TABLE versions (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  app_id   INTEGER NOT NULL REFERENCES apps(id),
  number   INTEGER NOT NULL,
  commit_id TEXT NOT NULL,
  plan     TEXT NOT NULL,
  bytes    INTEGER NOT NULL,
  created  INTEGER NOT NULL,
  removed  INTEGER,
  UNIQUE (app_id, number)
) STRICT;

CREATE TABLE deploys (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  app_id      INTEGER NOT NULL REFERENCES apps(id),
  number      INTEGER NOT NULL,
  version_id  INTEGER REFERENCES versions(id),
  commit_id   TEXT NOT NULL,
  env_version INTEGER NOT NULL,
  who         TEXT NOT NULL,
  why         TEXT NOT NULL,
  message     TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('running','live','failed')),
  -- Main is moved to commit_id once this is live; a crash in between is made good at the next start.
  moves_main  INTEGER NOT NULL,
  error       TEXT,
  stages      TEXT NOT NULL DEFAULT '[]',
  started     INTEGER NOT NULL,
  finished    INTEGER,
  UNIQUE (app_id, number)
) STRICT;

-- Each change of the environment is a new whole set, sealed: a deploy names the one it used.
CREATE TABLE env_sets (
  app_id  INTEGER NOT NULL REFERENCES apps(id),
  version INTEGER NOT NULL,
  names   TEXT NOT NULL,
  sealed  BLOB NOT NULL,
  who     TEXT NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (app_id, version)
) STRICT;

-- What Run started for one author.
CREATE TABLE drafts (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id INTEGER NOT NULL REFERENCES projects(id),
  user_id    INTEGER NOT NULL REFERENCES users(id),
  label      TEXT NOT NULL UNIQUE,
  tree       TEXT NOT NULL,
  plan       TEXT NOT NULL,
  created    INTEGER NOT NULL,
  used       INTEGER NOT NULL,
  UNIQUE (project_id, user_id)
) STRICT;
