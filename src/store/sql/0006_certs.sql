-- A host's certificate, or that getting one failed. The key is sealed.
CREATE TABLE certs (
  host       TEXT PRIMARY KEY,             -- or *.host
  authority  TEXT NOT NULL DEFAULT '',     -- URL of the directory it came from
  chain      TEXT,                         -- PEM, its own certificate first; NULL: there is none yet
  sealed     BLOB,                         -- its private key
  issued     INTEGER NOT NULL DEFAULT 0,
  expires    INTEGER NOT NULL DEFAULT 0,
  renew_at   INTEGER NOT NULL DEFAULT 0,
  ari_start  INTEGER, ari_end INTEGER,     -- the window that the authority suggested
  ari_next   INTEGER NOT NULL DEFAULT 0,   -- when to ask again
  ocsp       BLOB,                         -- what is stapled
  ocsp_next  INTEGER NOT NULL DEFAULT 0,
  failures   INTEGER NOT NULL DEFAULT 0,   -- in a row
  last_error TEXT,
  next_try   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE acme_accounts (
  authority TEXT PRIMARY KEY,
  email     TEXT NOT NULL,
  sealed    BLOB NOT NULL,
  created   INTEGER NOT NULL
) STRICT;

-- What counts against the authorities' limits; forgotten after eight days.
CREATE TABLE acme_orders (
  id        INTEGER PRIMARY KEY,
  authority TEXT NOT NULL,
  host      TEXT NOT NULL,
  domain    TEXT NOT NULL,                 -- the registered domain
  at        INTEGER NOT NULL,
  outcome   TEXT NOT NULL CHECK (outcome IN ('begun', 'issued', 'renewed', 'unproved', 'failed'))
) STRICT;
CREATE INDEX acme_orders_at ON acme_orders(at);
