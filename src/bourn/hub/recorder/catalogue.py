"""Every file's state, on disk before anything is done that depends on it: `catalogue.db`, SQLite (docs/formats.md).

recording -> sealed -> archived -> uploading -> verified -> deleted
                             \\-> parked (after so many failures, by option)
dropped: by the policy of a full disk.    missing: somebody else removed it.    damaged: it changed on the disk.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

from bourn.hub.recorder.names import FileName
from bourn.hub.recorder.recorder import Gap

VERSION = 1
KEEP_ROWS = 100_000  # of files that are gone; older ones are forgotten
BUSY_MS = 10_000  # that another program (`bourn record retry`) may hold it

_SCHEMA = """
CREATE TABLE file (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL,
    end INTEGER, at INTEGER NOT NULL, ending TEXT NOT NULL, state TEXT NOT NULL,
    bytes INTEGER, sha256 TEXT, sealed_at INTEGER,
    packed TEXT, packed_bytes INTEGER, packed_sha256 TEXT, archived_at INTEGER,
    remote TEXT, etag TEXT, attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL DEFAULT 0, error TEXT,
    done_at INTEGER, reason TEXT,
    UNIQUE (epoch, first)
);
CREATE INDEX file_state ON file (state, next_at);
CREATE TABLE gap (epoch TEXT NOT NULL, first INTEGER NOT NULL, end INTEGER NOT NULL, reason TEXT NOT NULL,
                  at INTEGER NOT NULL, PRIMARY KEY (epoch, first));
CREATE TABLE sent (month TEXT PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);
"""
WAITING = ("archived", "uploading")  # what the uploader has begun with
HERE = ("recording", "sealed", "archived", "uploading", "parked", "damaged")  # what takes space here
GONE = ("deleted", "dropped", "missing")


class CatalogueError(Exception):
    """The catalogue cannot be used; the text says why and what to do."""


class Row(NamedTuple):
    """A file as the catalogue knows it; times are milliseconds since 1970."""

    id: int
    name: str
    epoch: str
    first: int
    end: int | None
    at: int
    ending: str
    state: str
    bytes: int | None
    sha256: str | None
    sealed_at: int | None
    packed: str | None
    packed_bytes: int | None
    packed_sha256: str | None
    archived_at: int | None
    remote: str | None
    etag: str | None
    attempts: int
    next_at: int
    error: str | None
    done_at: int | None
    reason: str | None

    @property
    def file(self) -> FileName:
        """Its name."""
        return FileName(self.name, self.epoch, self.first, self.end or 0, self.at, self.ending)

    @property
    def archive(self) -> str:
        """The name of its archive."""
        return self.file.sealed + (self.packed or "")

    @property
    def here(self) -> str:
        """The name of what holds its frames now."""
        if self.state == "recording":
            return self.file.part
        return self.archive if self.packed else self.file.sealed


class Catalogue:
    """One connection, for several threads; every change is durable when the method returns. sqlite3.Error."""

    def __init__(self, path: str, read_only: bool = False) -> None:
        self._lock = threading.RLock()
        try:
            place = f"file:{path}?mode=ro" if read_only else path
            self._db = sqlite3.connect(
                place, uri=read_only, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
            )
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise CatalogueError(f"{path} is of version {version}, this Bourn knows {VERSION}: use a newer one")
            if version == 0 and read_only:
                raise CatalogueError(f"{path} holds no recordings yet")
            if not read_only:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("PRAGMA journal_size_limit=1048576")
                self._db.execute("PRAGMA wal_autocheckpoint=64")
                if version == 0:
                    self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        except sqlite3.Error as e:
            what = "there is no catalogue" if read_only and "unable to open" in str(e) else str(e)
            raise CatalogueError(f"{path}: {what}; name the recordings' folder by --folder") from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # -- what is known

    def rows(self, where: str = "1", *values: Any, order: str = "at, epoch, first", limit: int = -1) -> list[Row]:
        """The files for which the SQL condition holds. Conditions are constants of the code, values are bound."""
        with self._lock:
            found = self._db.execute(f"SELECT * FROM file WHERE {where} ORDER BY {order} LIMIT {limit:d}", values)
            return [Row(*row) for row in found]

    def by_key(self, key: tuple[str, int]) -> Row | None:
        """The file of that epoch which begins with that frame."""
        found = self.rows("epoch = ? AND first = ?", *key)
        return found[0] if found else None

    def counts(self) -> dict[str, tuple[int, int]]:
        """Files and bytes for each state."""
        with self._lock:
            found = self._db.execute(
                "SELECT state, count(*), coalesce(sum(coalesce(packed_bytes, bytes, 0)), 0) FROM file GROUP BY state"
            )
            return {state: (files, size) for state, files, size in found}

    def gaps(self) -> list[Gap]:
        """What came and was not kept."""
        with self._lock:
            found = self._db.execute("SELECT epoch, first, end, reason, at FROM gap ORDER BY at, first")
            return [Gap(*row) for row in found]

    def lost(self) -> tuple[int, int]:
        """How many gaps there are, and how many frames are in them."""
        with self._lock:
            found = self._db.execute("SELECT count(*), coalesce(sum(end - first), 0) FROM gap").fetchone()
            return found[0], found[1]

    def version(self) -> int:
        """A number that becomes another one when another connection changes something."""
        with self._lock:
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def meta(self, key: str, default: Any = None) -> Any:
        """A value that was kept."""
        with self._lock:
            found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            return json.loads(found[0]) if found else default

    def next_frame(self, epoch: str) -> int:
        """The number behind all that this epoch has used."""
        with self._lock:
            files = self._db.execute("SELECT max(coalesce(end, first)) FROM file WHERE epoch = ?", (epoch,)).fetchone()
            gaps = self._db.execute("SELECT max(end) FROM gap WHERE epoch = ?", (epoch,)).fetchone()
            return max(files[0] or 0, gaps[0] or 0)

    def sent(self, month: str) -> int:
        """Bytes that were sent in that month ("2026-01"), failures included."""
        with self._lock:
            found = self._db.execute("SELECT bytes FROM sent WHERE month = ?", (month,)).fetchone()
            return found[0] if found else 0

    # -- what happens

    def put_meta(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._do("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, json.dumps(value))

    def opened(self, file: FileName) -> None:
        """A file was begun."""
        self._do(
            "INSERT INTO file (name, epoch, first, at, ending, state) VALUES (?, ?, ?, ?, ?, 'recording') "
            "ON CONFLICT DO NOTHING",
            *(file.name, file.epoch, file.first, file.at, file.ending),
        )

    def sealed(self, file: FileName, size: int, sha256: str, now: int) -> None:
        """A file is complete; what is known of it already stays, unless it was being recorded."""
        # Not one upsert: that would use up an id for each file that was announced, and `thin` counts by them.
        with self._lock:
            if not self._do(
                "UPDATE file SET state = 'sealed', end = ?, bytes = ?, sha256 = ?, sealed_at = ?, error = NULL "
                "WHERE epoch = ? AND first = ? AND state IN ('recording', 'missing')",
                *(file.end, size, sha256, now, *file.key),
            ):
                self._do(
                    "INSERT INTO file (name, epoch, first, end, at, ending, state, bytes, sha256, sealed_at) "
                    "VALUES (?, ?, ?, ?, ?, ?, 'sealed', ?, ?, ?) ON CONFLICT DO NOTHING",
                    *(file.name, file.epoch, file.first, file.end, file.at, file.ending, size, sha256, now),
                )

    def never_was(self, key: tuple[str, int]) -> None:
        """A file was begun and holds nothing: its numbers will be given again."""
        self._do("DELETE FROM file WHERE epoch = ? AND first = ? AND state = 'recording'", *key)

    def gap(self, gap: Gap) -> None:
        """Frames were not kept."""
        self._do("INSERT OR REPLACE INTO gap VALUES (?, ?, ?, ?, ?)", *gap)

    def archived(self, row: Row, packed: str, size: int, sha256: str, now: int) -> bool:
        """Its archive is durable, and was read back. False if it is not sealed any more."""
        return self._do(
            "UPDATE file SET state = 'archived', packed = ?, packed_bytes = ?, packed_sha256 = ?, archived_at = ?, "
            "remote = ? WHERE id = ? AND state = 'sealed'",
            *(packed, size, sha256, now, row.file.remote(packed), row.id),
        )

    def move(self, row_id: int, to: str, of: Iterable[str], **fields: Any) -> bool:
        """From one of the states `of` to the state `to`; False if it is in none of them."""
        states = list(of)
        sets = "".join(f", {name} = ?" for name in fields)  # names are those of keyword arguments in this package
        return self._do(
            f"UPDATE file SET state = ?{sets} WHERE id = ? AND state IN ({', '.join('?' * len(states))})",
            *(to, *fields.values(), row_id, *states),
        )

    def spend(self, month: str, size: int) -> None:
        """So many bytes were sent."""
        self._do("INSERT INTO sent VALUES (?, ?) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes", month, size)

    def retry(self) -> int:
        """Parked files wait for the uploader again, and nothing waits any longer. How many were parked or waited."""
        with self._lock:
            self.put_meta("pause", None)
            self._db.execute(
                "UPDATE file SET state = 'archived', attempts = 0, next_at = 0 WHERE state = 'parked' "
                "OR (state IN ('archived', 'uploading') AND next_at > 0)"
            )
            return int(self._db.execute("SELECT changes()").fetchone()[0])

    def forget(self, keep: int = KEEP_ROWS) -> None:
        """Keep the newest so many of the files that are gone, and of the gaps."""
        self._do("DELETE FROM gap WHERE rowid IN (SELECT rowid FROM gap ORDER BY at DESC LIMIT -1 OFFSET ?)", keep)
        self._do(
            "DELETE FROM file WHERE id IN (SELECT id FROM file WHERE state IN ('deleted', 'dropped', 'missing') "
            "ORDER BY id DESC LIMIT -1 OFFSET ?)",
            keep,
        )

    def _do(self, statement: str, *values: Any) -> bool:
        """One change, committed; whether it changed anything."""
        with self._lock:
            return self._db.execute(statement, values).rowcount > 0
