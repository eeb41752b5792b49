-- Who signs in. A guest has no password, a nickname and a last moment. Ids and names are never reused,
-- except that a guest's random name ends with it.
CREATE TABLE users (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  name      TEXT NOT NULL UNIQUE,
  password  TEXT,
  admin     INTEGER NOT NULL DEFAULT 0,
  guest     INTEGER NOT NULL DEFAULT 0,
  nickname  TEXT,
  created   INTEGER NOT NULL,
  expires   INTEGER,
  CHECK ((guest = 0 AND password IS NOT NULL AND expires IS NULL)
      OR (guest = 1 AND password IS NULL AND expires IS NOT NULL AND admin = 0))
) STRICT;
CREATE INDEX users_with_password ON users(id) WHERE guest = 0;
CREATE INDEX users_guests ON users(expires) WHERE guest = 1;

-- Browser sessions. `hash` is SHA-256 of the cookie, which is never stored.
CREATE TABLE sessions (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id  INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  hash     TEXT NOT NULL UNIQUE,
  csrf     TEXT NOT NULL,
  agent    TEXT NOT NULL DEFAULT '',
  created  INTEGER NOT NULL,
  used     INTEGER NOT NULL,
  expires  INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions(user_id, id);
CREATE INDEX sessions_expires ON sessions(expires);

-- Tokens for git, API and CLI. `hash` is SHA-256 of the token; `scopes` a JSON list; `project_id` is not
-- a reference: ids are never reused, so a token for a removed project opens nothing.
CREATE TABLE tokens (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id     INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  hash        TEXT NOT NULL UNIQUE,
  name        TEXT NOT NULL,
  scopes      TEXT NOT NULL,
  project_id  INTEGER,
  created     INTEGER NOT NULL,
  expires     INTEGER,
  used        INTEGER
) STRICT;
CREATE INDEX tokens_user ON tokens(user_id, id);

-- One-time links to sign up with. `hash` is SHA-256 of the value in the link.
CREATE TABLE invites (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  hash      TEXT NOT NULL UNIQUE,
  note      TEXT NOT NULL,
  admin     INTEGER NOT NULL,
  made_by   INTEGER NOT NULL REFERENCES users(id),
  created   INTEGER NOT NULL,
  expires   INTEGER NOT NULL,
  used      INTEGER,
  used_by   INTEGER REFERENCES users(id)
) STRICT;
