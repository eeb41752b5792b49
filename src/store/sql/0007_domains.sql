-- Domains that owners gave their projects. Several projects may claim one; one at most has proved that it is theirs.
CREATE TABLE domains (
  project_id INTEGER NOT NULL REFERENCES projects(id),
  host       TEXT NOT NULL,              -- lower case, ASCII
  redirect   TEXT,                       -- another host of the project, which visitors are sent to
  token      TEXT NOT NULL,              -- what the TXT record must hold
  verified   INTEGER,                    -- proved since; NULL: not, or not any more
  found      TEXT NOT NULL DEFAULT '{}', -- JSON of what the last look into DNS found
  checked    INTEGER,                    -- when that was
  next_check INTEGER,                    -- when to look again; NULL: when somebody asks
  created    INTEGER NOT NULL,
  PRIMARY KEY (project_id, host)
) STRICT;
CREATE UNIQUE INDEX domains_proved ON domains(host) WHERE verified IS NOT NULL;
CREATE INDEX domains_due ON domains(next_check);
