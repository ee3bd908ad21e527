"""`sqlite:PATH`: another SQLite database beside the journal; `bourn read PATH` and `bourn plot PATH` know it, too.

Readings, gaps and how far it is in the journal go into one transaction (WAL, synchronous FULL), and a reading is known
by (source, epoch, seq): what comes again changes nothing. Several hubs may write into it, one after another.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from itertools import chain
from typing import Any

from bourn.hub.repositories import RepositoryError, Unreachable
from bourn.spool.sqlite import PAGE, Entry, decode_value, encode_value

APPLICATION_ID = 0x426F726E  # "Born", in the header of the file
VERSION = 1
# Rows of one INSERT. sqlite3 gives up the GIL at every step, and beside a busy loop each step waits for it: the larger
# a statement, the fewer steps. Few sizes, so that each is compiled once.
CHUNKS = (1000, 100, 10, 1)
KNOWN_STREAMS = 10_000  # numbers of streams that are remembered; the others are looked up
BUSY_S = 10.0  # another program may hold the file for so long

SCHEMA = f"""
CREATE TABLE stream (id INTEGER PRIMARY KEY, source TEXT NOT NULL, epoch TEXT NOT NULL, UNIQUE (source, epoch));
CREATE TABLE reading (pos INTEGER PRIMARY KEY, stream INTEGER NOT NULL, seq INTEGER NOT NULL, sensor TEXT NOT NULL,
  ts INTEGER NOT NULL, val, UNIQUE (stream, seq));
CREATE TABLE gap (stream INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (stream, first)) WITHOUT ROWID;
CREATE TABLE cursor (hub TEXT PRIMARY KEY, pos INTEGER NOT NULL) WITHOUT ROWID;
CREATE VIEW readings AS SELECT pos, source || ':' || epoch || ':' || seq AS id,
  strftime('%Y-%m-%dT%H:%M:%f', ts / 1000.0, 'unixepoch') || 'Z' AS time, sensor, val
  FROM reading JOIN stream ON stream.id = reading.stream;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""


class SqliteFile:
    """`sqlite:PATH`: tables `reading` and `gap`, view `readings`."""

    keeps = True

    def __init__(self, path: str) -> None:
        self.path = path
        self.url = f"sqlite:{path}"
        self._db: sqlite3.Connection | None = None
        self._streams: dict[tuple[str, str], int] = {}
        self._hub = ""

    def open(self, mark: str | None) -> None:
        """Open or make the database. OSError when it cannot be written, RepositoryError when it is something else's."""
        self.close()
        folder = os.path.dirname(os.path.realpath(self.path))
        if not os.path.isdir(folder):
            raise FileNotFoundError(2, "No such folder", folder)
        try:
            db = self._db = sqlite3.connect(
                os.path.realpath(self.path), BUSY_S, isolation_level=None, check_same_thread=False
            )
            tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if tables and (not ours or version != VERSION):
                raise RepositoryError(f"{self.path} is a database of something else; choose another file")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA journal_size_limit = 67108864")
            if not tables:
                db.executescript("BEGIN IMMEDIATE;" + SCHEMA + "COMMIT;")
            self._streams = {}
        except sqlite3.DatabaseError as e:
            self.close()
            if isinstance(e, sqlite3.OperationalError) and "locked" in str(e):
                raise Unreachable(f"{self.path} is held by another program: {e}") from e
            raise OSError(f"{self.path} cannot be opened as a database: {e}") from e
        except RepositoryError:
            self.close()
            raise

    def resume(self, hub: str, place: int | None) -> int | None:
        """Where its own transaction says it is, unless the journal remembers less: what comes again is recognised."""
        assert self._db is not None
        self._hub = hub
        row = self._db.execute("SELECT pos FROM cursor WHERE hub = ?", (hub,)).fetchone()
        known = [pos for pos in (row[0] if row else None, place) if pos is not None]
        return min(known, default=None)

    def write(self, entries: list[Entry]) -> None:
        """Store the entries; on disk when this returns."""
        if not entries:
            return
        db = self._db
        assert db is not None
        db.execute("BEGIN IMMEDIATE")
        try:
            rows = [(self._stream(e[1]), e[2], e[3], e[4], encode_value(e[5])) for e in entries if len(e) == 6]
            at = 0
            for size in CHUNKS:
                statement = (
                    "INSERT INTO reading (stream, seq, sensor, ts, val) VALUES (?,?,?,?,?)"
                    + ",(?,?,?,?,?)" * (size - 1)
                    + " ON CONFLICT (stream, seq) DO NOTHING"
                )
                while len(rows) - at >= size:
                    db.execute(statement, list(chain.from_iterable(rows[at : at + size])))
                    at += size
            gaps = [(self._stream(e[1]), *e[2]) for e in entries if len(e) == 3]
            if gaps:
                db.executemany(  # one that comes again may have grown
                    "INSERT INTO gap VALUES (?,?,?,?) "
                    "ON CONFLICT (stream, first) DO UPDATE SET last = max(last, excluded.last)",
                    gaps,
                )
            db.execute("INSERT OR REPLACE INTO cursor VALUES (?,?)", (self._hub, entries[-1][0]))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            self._streams = {}  # some of them were only in there
            raise

    def close(self) -> None:
        """Close the database."""
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def read(
        self, sensor: str | None = None, since: int | None = None, until: int | None = None
    ) -> Iterator[tuple[str, int, str, Any]]:
        """The readings there are, in the order in which they came."""
        db = sqlite3.connect(os.path.realpath(self.path), BUSY_S)
        try:
            after = 0
            while rows := db.execute(_SELECT, {"s": sensor, "f": since, "u": until, "a": after}).fetchall():
                for _, id, ts, name, val in rows:
                    yield id, ts, name, decode_value(val)
                after = rows[-1][0]
        finally:
            db.close()

    def _stream(self, stream: Any) -> int:
        key = (stream.source, stream.epoch)
        id = self._streams.get(key)
        if id is None:
            assert self._db is not None
            if len(self._streams) >= KNOWN_STREAMS:
                self._streams.clear()
            row = self._db.execute("SELECT id FROM stream WHERE source = ? AND epoch = ?", key).fetchone()
            row = row or [self._db.execute("INSERT INTO stream (source, epoch) VALUES (?,?)", key).lastrowid]
            id = self._streams[key] = int(row[0])
        return id


_SELECT = f"""
SELECT pos, source || ':' || epoch || ':' || seq, ts, sensor, val FROM reading JOIN stream ON stream.id = stream
WHERE pos > :a AND (:s IS NULL OR sensor = :s) AND (:f IS NULL OR ts >= :f) AND (:u IS NULL OR ts < :u)
ORDER BY pos LIMIT {PAGE}
"""
