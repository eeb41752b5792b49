-- Who may come to an app, and whether it is down for maintenance. No row: everybody, and it is up.
CREATE TABLE doors (
  app_id      INTEGER PRIMARY KEY REFERENCES apps(id),
  access      TEXT NOT NULL DEFAULT 'public' CHECK (access IN ('public','members','users','links','password')),
  -- Argon2 of the password, while one is asked for.
  password    TEXT,
  -- What visitors are told while it is down, possibly nothing; NULL = it is up.
  maintenance TEXT
) STRICT;

-- Links that open an app whatever stands before it. `hash` is SHA-256 of the secret in the link.
CREATE TABLE links (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  app_id   INTEGER NOT NULL REFERENCES apps(id),
  name     TEXT NOT NULL,
  hash     TEXT NOT NULL UNIQUE,
  who      TEXT NOT NULL,
  created  INTEGER NOT NULL,
  expires  INTEGER
) STRICT;
CREATE INDEX links_of ON links(app_id);
