-- What `bourn` made before version 2; journals of it are out there, so this file never changes.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE stream (id INTEGER PRIMARY KEY, source TEXT NOT NULL, epoch TEXT NOT NULL, last INTEGER NOT NULL,
  UNIQUE (source, epoch));
CREATE TABLE reading (pos INTEGER PRIMARY KEY, stream INTEGER NOT NULL, seq INTEGER NOT NULL, sensor TEXT NOT NULL,
  ts INTEGER NOT NULL, val);
CREATE TABLE gap (pos INTEGER PRIMARY KEY, stream INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  reason TEXT NOT NULL);
CREATE TABLE quarantine (pos INTEGER PRIMARY KEY, stream INTEGER NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL,
  raw TEXT NOT NULL);
CREATE TABLE cursor (name TEXT PRIMARY KEY, pos INTEGER NOT NULL, mark TEXT) WITHOUT ROWID;
CREATE VIEW readings AS SELECT pos, source || ':' || epoch || ':' || seq AS id,
  strftime('%Y-%m-%dT%H:%M:%f', ts / 1000.0, 'unixepoch') || 'Z' AS time, sensor, val
  FROM reading JOIN stream ON stream.id = reading.stream;
PRAGMA user_version = 1;
