-- What owners allowed a project beyond the server's own settings. The newest row counts; none = nothing.
CREATE TABLE approvals (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id INTEGER NOT NULL REFERENCES projects(id),
  -- The whole of what is approved from here on: JSON of apps::ask::Ask.
  approved   TEXT NOT NULL,
  -- What was new in it, as the owner read it: JSON list of lines. Empty for a revocation.
  added      TEXT NOT NULL,
  -- For which deploy; none for a revocation.
  deploy_id  INTEGER REFERENCES deploys(id),
  who        TEXT NOT NULL,
  created    INTEGER NOT NULL
) STRICT;
CREATE INDEX approvals_of ON approvals(project_id, id);

-- A deploy that stopped because it asks for more than is approved keeps here what it asks for (JSON of
-- apps::ask::Ask) until an owner says yes or a later deploy takes its place; then it is empty. NULL for all
-- others. At most one of an app's waits.
ALTER TABLE deploys ADD COLUMN waits TEXT;
