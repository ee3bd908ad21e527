"""What a journal holds, for whoever looks into the file: readings and the quarantine, also while a hub writes it."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bourn.spool.sqlite_file import TABLES, JournalError, check_version, lock_journal, open_journal, to_read

PAGE = 2_000  # rows of one SELECT: no SELECT is long, or the WAL would grow without bound


def encode_value(val: Any) -> Any:
    """What the column `val` holds: a number as such, anything else as its JSON text."""
    kind = type(val)
    return val if kind is int or kind is float else json.dumps(val, ensure_ascii=False, separators=(",", ":"))


def decode_value(val: Any) -> Any:
    """The value that `encode_value` was given."""
    return json.loads(val) if isinstance(val, str) else val


class StoredReading(NamedTuple):
    """One reading as `read_journal` gives it; `ts` in ms since 1970 UTC."""

    pos: int
    id: str
    ts: int
    sensor: str
    val: Any


class Quarantined(NamedTuple):
    """One reading that could not be stored: why, when it came (ms since 1970 UTC, 0: unknown), and what it was."""

    pos: int
    id: str
    at: int
    reason: str
    raw: str


def read_journal(
    path: str,
    sensor: str | None = None,
    since: int | None = None,
    until: int | None = None,
    progressed: Callable[[float], None] | None = None,
) -> Iterator[StoredReading]:
    """The readings stored in the journal `path`, oldest first, also while a hub is writing it.

    `since` and `until` bound `ts` (ms since 1970 UTC, half-open). Reads in short pages, after each of which
    `progressed` hears which part of the whole has been looked at (0 to 1). JournalError if it is none.
    """
    with _opened(path) as db:
        where = "".join(
            [
                " AND sensor = :sensor" if sensor is not None else "",
                " AND ts >= :since" if since is not None else "",
                " AND ts < :until" if until is not None else "",
            ]
        )
        query = (
            "SELECT reading.pos, source || ':' || epoch || ':' || seq, ts, sensor, val FROM reading "
            "JOIN stream ON stream.id = reading.stream WHERE reading.pos > :after AND reading.pos <= :upto"
            + where
            + " ORDER BY reading.pos"
        )
        span = 10 * PAGE  # places looked at by one SELECT, whatever the filter lets through
        first, newest = db.execute("SELECT min(pos) - 1, max(pos) FROM reading").fetchone()
        after = first
        while newest is not None and after < newest:
            bounds = {"sensor": sensor, "since": since, "until": until, "after": after, "upto": after + span}
            for pos, id, ts, name, val in db.execute(query, bounds).fetchall():
                yield StoredReading(pos, id, ts, name, decode_value(val))
            after += span
            if progressed is not None:
                progressed(min(1.0, (after - first) / (newest - first)))


class JournalReader:
    """The readings of the journal `path` in their order, page by page, for who follows it while a hub writes it.

    JournalError if it is none; sqlite3.Error from the methods. `hub` is the name of the hub that made it.
    """

    def __init__(self, path: str, sensor: str | None = None) -> None:
        self._stack = contextlib.ExitStack()
        self._db = self._stack.enter_context(_opened(path))
        there = os.stat(path)
        self.identity = there.st_dev, there.st_ino
        self.hub: str = self._db.execute("SELECT value FROM meta WHERE key = 'hub'").fetchone()[0]
        self._sensor = sensor

    def newest(self) -> int:
        """The last place that was given."""
        return int(self._db.execute("SELECT value FROM meta WHERE key = 'pos'").fetchone()[0])

    def version(self) -> int:
        """A number that becomes another one when the journal has changed."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def removed(self, after: int) -> tuple[int, int]:
        """How many readings behind `after` were removed as old (at most so many), and the place before what is left."""
        oldest = self._db.execute("SELECT min(pos) FROM reading").fetchone()[0] or self.newest() + 1
        if oldest <= after + 1:
            return 0, after
        known = "SELECT count(*) FROM {} WHERE pos > ? AND pos < ?"
        others = [self._db.execute(known.format(name), (after, oldest)).fetchone()[0] for name in ("gap", "quarantine")]
        return int(oldest - 1 - after - sum(others)), int(oldest - 1)

    def read(self, after: int, limit: int = PAGE) -> tuple[list[StoredReading], int]:
        """At most `limit` readings behind the place `after`, and up to which place there is none besides them."""
        newest = self.newest()
        found = self._db.execute(
            "SELECT reading.pos, source || ':' || epoch || ':' || seq, ts, sensor, val FROM reading "
            "JOIN stream ON stream.id = reading.stream WHERE reading.pos > ? ORDER BY reading.pos LIMIT ?",
            (after, limit),
        ).fetchall()
        upto = found[-1][0] if len(found) == limit else max(after, newest)
        rows = (StoredReading(pos, id, ts, name, decode_value(val)) for pos, id, ts, name, val in found)
        return [row for row in rows if self._sensor in (None, row.sensor)], upto

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


def read_quarantine(path: str) -> list[Quarantined]:
    """What could not be stored, oldest first; there is a bound to it. JournalError if it is no journal."""
    with _opened(path) as db:
        at = "quarantine.at" if check_version(db, path) >= 2 else "0"
        return [
            Quarantined(*row)
            for row in db.execute(
                f"SELECT quarantine.pos, source || ':' || epoch || ':' || seq, {at}, reason, raw FROM quarantine "
                "JOIN stream ON stream.id = quarantine.stream ORDER BY quarantine.pos"
            ).fetchall()
        ]


def drop_quarantine(path: str, upto: int | None = None) -> int:
    """Remove what is in the quarantine, up to the place `upto`; how many. JournalError while a hub writes it."""
    with _opened(path):  # asking makes nothing
        pass
    lock = lock_journal(path)
    try:
        db = open_journal(path)
        try:
            return delete_quarantine(db, upto)
        finally:
            db.close()
    finally:
        lock.close()


def delete_quarantine(db: sqlite3.Connection, upto: int | None) -> int:
    """Remove what is in the quarantine, up to the place `upto`; how many."""
    done = db.execute("DELETE FROM quarantine WHERE ? IS NULL OR pos <= ?", (upto, upto))
    return done.rowcount


@contextlib.contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    if not os.path.exists(path):
        raise JournalError(f"there is no journal {path}; name the file given to --journal")
    db = None
    try:
        db = to_read(path)
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables >= TABLES:  # a repository in SQLite has other tables, and can be read all the same
            check_version(db, path)
        yield db
    except sqlite3.DatabaseError as e:
        remedy = "; SQLite wants to write beside it: read as its owner, or a copy" if "readonly" in str(e) else ""
        raise JournalError(f"{path} cannot be read as a journal: {e}{remedy}") from e
    finally:
        if db is not None:
            db.close()
