"""A spool in an SQLite database: the hub's journal, which is its default repository too (CPython).

Durability: WAL with synchronous FULL, one transaction per batch; the transaction that holds the readings also holds
how far each stream has come (the dedup), the reader's cursors and the counter that places come from.

Threads: one owner calls `take`, `insert` and `rollback`; `commit` may run in another thread while the owner decodes
what comes next (sqlite3 gives up the GIL at every row, so an inserting thread beside a busy loop would crawl, while a
COMMIT is one call). `read`, `ack` and `acked` may be called from any thread.

A place is `pos`, an integer from a persisted counter: a plain rowid would start again once the table is emptied, and
cursors would skip. Entries are `(pos, stream, seq, sensor, ts, val)` or `(pos, stream, Gap)`; `stream` knows `source`
and `epoch`. Values: numbers as such, everything else as its JSON text.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sqlite3
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple
from urllib.parse import quote
from weakref import WeakValueDictionary

from bourn.spool import Gap

VERSION = 1  # PRAGMA user_version of a journal
TABLES = {"meta", "stream", "reading", "gap", "quarantine", "cursor"}
CHUNK = 100  # rows of one multi-VALUES INSERT
RECENT_ROWS = 20_000  # committed rows kept in memory for readers that keep up; laggards read the file
PAGE = 2_000  # rows of one SELECT: no SELECT is long, or the WAL would grow without bound
QUARANTINE_ROWS = 10_000  # poisoned readings kept for looking at; the oldest go first

SCHEMA = """
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
"""


class JournalError(Exception):
    """The journal cannot be used; the text says why and what to do."""


class Stream:
    """How far one epoch of one source has come: `last` is taken, `committed` is on disk."""

    __slots__ = ("__weakref__", "committed", "epoch", "id", "last", "source")

    def __init__(self, id: int, source: str, epoch: str, last: int) -> None:
        self.id = id  # 0: nothing was taken of it yet
        self.source = source
        self.epoch = epoch
        self.last = last
        self.committed = last

    def reading_id(self, seq: int) -> str:
        """The one `id` of a reading that people see."""
        return f"{self.source}:{self.epoch}:{seq}"


Entry = tuple[Any, ...]  # (pos, stream, seq, sensor, ts, val) or (pos, stream, Gap)


class _Batch:
    """What goes into one transaction."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.quarantine: list[tuple[int, int, int, str, str]] = []
        self.lasts: dict[Stream, int] = {}
        self.readings = 0

    def __bool__(self) -> bool:
        return bool(self.lasts)


def encode_value(val: Any) -> Any:
    """What the column `val` holds: a number as such, anything else as its JSON text."""
    kind = type(val)
    return val if kind is int or kind is float else json.dumps(val, ensure_ascii=False, separators=(",", ":"))


def decode_value(val: Any) -> Any:
    """The value that `encode_value` was given."""
    return json.loads(val) if isinstance(val, str) else val


class SqliteSpool:
    """The spool contract over the database `path`; `append` takes `(source, epoch, seq, sensor, ts, val)`.

    `retain_rows=None` keeps every reading; a number lets `trim` remove what is older and has been acknowledged.
    """

    def __init__(self, path: str, retain_rows: int | None = None) -> None:
        self.path = path
        self._retain_rows = retain_rows
        self._pos = 0  # the last place given
        self._last_pos = 0  # the last place that can be read
        self._lock_file = _lock(path)
        try:
            self._db = _connect(path)
            try:
                self._load()
            except (sqlite3.Error, KeyError) as e:
                self._db.close()
                raise JournalError(f"the journal {path} is damaged ({e}); choose another with --journal") from e
        except BaseException:
            self._lock_file.close()
            raise
        self._lock = threading.Condition()  # guards _recent, _cursors, _dirty and _last_pos
        self._recent: deque[list[Entry]] = deque()
        self._recent_rows = 0
        self._open = _Batch()  # being filled
        self._batch = _Batch()  # inserted, or to be inserted again: at most one
        self._saving: dict[str, tuple[int, str | None] | None] = {}  # None: to be forgotten
        self._local = threading.local()
        self._closed = False
        self.counters = {
            "appended": 0,
            "refused": 0,
            "dropped": 0,
            "torn": 0,
            "duplicates": 0,
            "quarantined": 0,
            "gaps": 0,
        }

    # -- the contract

    def append(self, record: tuple[Any, ...]) -> int | None:
        """Take one reading; None when it is a duplicate."""
        source, epoch, seq, sensor, ts, val = record
        stream = self.stream(source, epoch)
        if seq <= stream.last:
            self.counters["duplicates"] += 1
            return None
        if seq > stream.last + 1:
            raise ValueError(f"a hole before {stream.reading_id(seq)}: the next number is {stream.last + 1}")
        self.take(stream, [(seq, sensor, ts, val)])
        return self._pos

    def sync(self) -> None:
        """Commit what was taken so far, and the cursors."""
        while self.insert():
            self.commit()
            self.committed()

    def read(self, after: int | None, limit: int) -> list[Entry]:
        """At most `limit` committed entries after `after`: from memory for who keeps up, else from the file."""
        after = after or 0
        with self._lock:
            if after >= self._last_pos:
                return []
            for rows in self._recent:
                if rows[-1][0] > after:
                    if rows[0][0] > after + 1 and rows is self._recent[0]:
                        break  # what follows `after` may not be in memory any more
                    start = bisect_right(rows, after, key=itemgetter(0))
                    return rows if start == 0 and len(rows) <= limit else rows[start : start + limit]
            upto = self._last_pos
        return self._select(after, upto, min(limit, PAGE))

    def ack(self, place: int, cursor: str = "", mark: str | None = None) -> None:
        """Note that `cursor` has everything up to `place`; `mark` is a word of its own kept with it."""
        with self._lock:
            if place > self._cursors.get(cursor, (-1, None))[0]:
                self._cursors[cursor] = (place, mark)
                self._dirty.add(cursor)

    def acked(self, cursor: str = "") -> int | None:
        """Where the reader `cursor` has to go on, or None when it never acknowledged anything."""
        with self._lock:
            return self._cursors.get(cursor, (None, None))[0]

    def mark(self, cursor: str) -> str | None:
        """The mark that came with the last ack of `cursor`."""
        with self._lock:
            return self._cursors.get(cursor, (None, None))[1]

    def cursors(self) -> dict[str, int]:
        """Every reader that is remembered, and how far it is."""
        with self._lock:
            return {name: pos for name, (pos, _) in self._cursors.items()}

    def forget(self, cursor: str) -> bool:
        """Remember that reader no longer; False when it was not. It is gone for good with the next commit."""
        with self._lock:
            known = self._cursors.pop(cursor, None) is not None
            if known:
                self._dirty.add(cursor)
            return known

    def trim(self) -> int:
        """Remove acknowledged readings that no retention limit keeps; at most PAGE of them per call."""
        if self._retain_rows is None:
            return 0
        with self._lock:
            upto = min([pos for pos, _ in self._cursors.values()], default=0)
            upto = min(upto, self._last_pos - self._retain_rows)
        rows = self._db.execute("SELECT pos FROM reading WHERE pos <= ? ORDER BY pos LIMIT ?", (upto, PAGE)).fetchall()
        if not rows:
            return 0
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM reading WHERE pos <= ?", (rows[-1][0],))
            self._db.execute("DELETE FROM gap WHERE pos <= ?", (rows[-1][0],))
        with self._lock:
            while self._recent and self._recent[0][0][0] <= rows[-1][0]:
                self._recent_rows -= len(self._recent.popleft())
        return len(rows)

    def close(self) -> None:
        """Commit, move the WAL into the database, and give the journal free for another hub."""
        if self._closed:
            return
        self._closed = True
        try:
            self.sync()
            with self._lock:
                self._lock.notify_all()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._db.close()
            self._lock_file.close()

    # -- what ingest asks for

    def stream(self, source: str, epoch: str) -> Stream:
        """The state of one epoch of one source, a new one if it was never seen."""
        key = (source, epoch)
        stream = self._streams.get(key) or self._unused.get(key)
        if stream is None:
            stream = self._unused[key] = Stream(0, source, epoch, 0)
        return stream

    def take(self, stream: Stream, rows: list[tuple[int, str, int, Any]]) -> None:
        """Take readings `(seq, sensor, ts, val)` of one stream, in order and without holes, already checked."""
        self._keep(stream)
        pos = self._pos
        batch = self._open
        batch.entries += [(pos := pos + 1, stream, *row) for row in rows]
        batch.readings += len(rows)
        stream.last = batch.lasts[stream] = rows[-1][0]
        self._pos = pos

    def take_gap(self, stream: Stream, gap: Gap) -> None:
        """Take the word that the records of `gap` will never come."""
        self._keep(stream)
        self._pos += 1
        self._open.entries.append((self._pos, stream, gap))
        stream.last = self._open.lasts[stream] = gap.last
        self.counters["gaps"] += 1

    def take_poison(self, stream: Stream, seq: int, reason: str, raw: str) -> None:
        """Take a reading that cannot be stored into the quarantine, so that it does not block its outbox for ever."""
        self._keep(stream)
        self._pos += 1
        self._open.quarantine.append((self._pos, stream.id, seq, reason, raw[:1000]))
        stream.last = self._open.lasts[stream] = seq
        self.counters["quarantined"] += 1

    def pending(self) -> int:
        """How many readings wait for the next transaction."""
        return self._open.readings

    def insert(self, cursors: bool = True) -> bool:
        """Begin a transaction with everything taken so far; False when there is nothing to commit.

        The cursors go with it; without readings they are worth a transaction only if `cursors`.

        After a failure of this or of `commit`, call `rollback` and then this again: nothing that was taken is lost.
        """
        if not self._batch:
            self._batch, self._open = self._open, _Batch()
        batch = self._batch
        if not batch and not cursors and not self._saving:
            return False
        with self._lock:
            for name in self._dirty:
                self._saving[name] = self._cursors.get(name)
            self._dirty.clear()
        if not batch and not self._saving:
            return False
        execute = self._db.execute
        execute("BEGIN IMMEDIATE")
        rows = [
            (pos, stream.id, rest[0], rest[1], rest[2], encode_value(rest[3]))
            for pos, stream, *rest in batch.entries
            if len(rest) == 4
        ]
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            execute(
                "INSERT INTO reading VALUES (?,?,?,?,?,?)" + ",(?,?,?,?,?,?)" * (len(part) - 1),
                list(chain.from_iterable(part)),
            )
        for entry in batch.entries:
            if len(entry) == 3:
                execute("INSERT INTO gap VALUES (?,?,?,?,?)", (entry[0], entry[1].id, *entry[2]))
        if batch.quarantine:
            self._db.executemany("INSERT INTO quarantine VALUES (?,?,?,?,?)", batch.quarantine)
            execute(
                "DELETE FROM quarantine WHERE pos <= (SELECT pos FROM quarantine ORDER BY pos DESC LIMIT 1 OFFSET ?)",
                (QUARANTINE_ROWS,),
            )
        for stream, last in batch.lasts.items():
            execute(
                "INSERT INTO stream VALUES (?,?,?,?) ON CONFLICT (id) DO UPDATE SET last = excluded.last",
                (stream.id, stream.source, stream.epoch, last),
            )
        for name, saved in self._saving.items():
            if saved is None:
                execute("DELETE FROM cursor WHERE name = ?", (name,))
            else:
                execute("INSERT OR REPLACE INTO cursor VALUES (?,?,?)", (name, *saved))
        execute("INSERT OR REPLACE INTO meta VALUES ('pos', ?)", (self._pos,))
        return True

    def commit(self) -> None:
        """Commit the transaction: on disk when this returns. The one call that may run in another thread."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """After a failed insert or commit: undo it; what was taken is kept for the next `insert`."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def committed(self) -> dict[Stream, int]:
        """Give the committed batch to the readers; returns the streams that moved, each with its last number."""
        batch, self._batch = self._batch, _Batch()
        self._saving = {}
        for stream, last in batch.lasts.items():
            stream.committed = last
        self.counters["appended"] += batch.readings
        self.rows += batch.readings
        with self._lock:
            if batch.entries:
                self._recent.append(batch.entries)
                self._recent_rows += len(batch.entries)
                while self._recent_rows > RECENT_ROWS and len(self._recent) > 1:
                    self._recent_rows -= len(self._recent.popleft())
                self._last_pos = batch.entries[-1][0]
                self._lock.notify_all()
        return batch.lasts

    def wait(self, after: int | None, stopped: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Wait until there is something after `after`, or the spool is closed, or `stopped()` when `wake` is called.

        With `timeout_s` no longer than that.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._last_pos > (after or 0) or self._closed or stopped(), timeout_s)

    def wake(self) -> None:
        """Let every `wait` look at its `stopped` again."""
        with self._lock:
            self._lock.notify_all()

    def last_pos(self) -> int:
        """The place of the newest committed entry."""
        with self._lock:
            return self._last_pos

    # -- inside

    def _keep(self, stream: Stream) -> None:
        if not stream.id:
            self._stream_id += 1
            stream.id = self._stream_id
            self._streams[stream.source, stream.epoch] = stream

    def _load(self) -> None:
        db = self._db
        meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
        self.hub: str = meta["hub"]
        self._pos = meta["pos"]
        # The newest entry, not the newest place: a quarantined reading has a place, and nothing to read there.
        newest = "SELECT max(coalesce((SELECT max(pos) FROM reading), 0), coalesce((SELECT max(pos) FROM gap), 0))"
        self._last_pos = db.execute(newest).fetchone()[0]
        self._streams = {
            (source, epoch): Stream(id, source, epoch, last)
            for id, source, epoch, last in db.execute("SELECT id, source, epoch, last FROM stream").fetchall()
        }
        # Asked for, and nothing taken: kept only by who asked, so that greetings alone cost no memory.
        self._unused: WeakValueDictionary[tuple[str, str], Stream] = WeakValueDictionary()
        self._by_id = {s.id: s for s in self._streams.values()}
        self._stream_id = max([s.id for s in self._streams.values()], default=0)
        self._cursors = {name: (pos, mark) for name, pos, mark in db.execute("SELECT name, pos, mark FROM cursor")}
        self._dirty: set[str] = set()
        self.rows: int = db.execute("SELECT count(*) FROM reading").fetchone()[0]

    def _select(self, after: int, upto: int, limit: int) -> list[Entry]:
        """From the file, no further than `upto`: a commit between the two queries must not show in the second only."""
        db = getattr(self._local, "db", None)
        if db is None:  # one read connection per thread: a reader never waits for the writer
            db = self._local.db = _read_only(self.path)
        rows = db.execute(
            "SELECT pos, stream, seq, sensor, ts, val FROM reading WHERE pos > ? AND pos <= ? ORDER BY pos LIMIT ?",
            (after, upto, limit),
        ).fetchall()
        if len(rows) == limit:
            upto = rows[-1][0]
        gaps = db.execute(
            "SELECT pos, stream, first, last, reason FROM gap WHERE pos > ? AND pos <= ? ORDER BY pos LIMIT ?",
            (after, upto, limit),
        ).fetchall()
        streams = self._stream_by_id
        entries: list[Entry] = [(r[0], streams(r[1]), r[2], r[3], r[4], decode_value(r[5])) for r in rows]
        if gaps:
            entries += [(g[0], streams(g[1]), Gap(*g[2:])) for g in gaps]
            entries.sort(key=itemgetter(0))
        return entries[:limit]

    def _stream_by_id(self, id: int) -> Stream:
        stream = self._by_id.get(id)
        if stream is None:
            self._by_id = {s.id: s for s in list(self._streams.values())}
            stream = self._by_id[id]
        return stream


class StoredReading(NamedTuple):
    """One reading as `read_journal` gives it; `ts` in ms since 1970 UTC."""

    pos: int
    id: str
    ts: int
    sensor: str
    val: Any


def read_journal(
    path: str, sensor: str | None = None, since: int | None = None, until: int | None = None
) -> Iterator[StoredReading]:
    """The readings stored in the journal `path`, oldest first, also while a hub is writing it.

    `since` and `until` bound `ts` (ms since 1970 UTC, half-open). Reads in short pages. JournalError if it is none.
    """
    if not os.path.exists(path):
        raise JournalError(f"there is no journal {path}; name the file given to --journal")
    db = None
    try:
        db = _read_only(path)
        where = "".join(
            [
                " AND sensor = :sensor" if sensor is not None else "",
                " AND ts >= :since" if since is not None else "",
                " AND ts < :until" if until is not None else "",
            ]
        )
        query = (
            "SELECT pos, source || ':' || epoch || ':' || seq, ts, sensor, val FROM reading "
            "JOIN stream ON stream.id = reading.stream WHERE pos > :after AND pos <= :upto" + where + " ORDER BY pos"
        )
        span = 10 * PAGE  # places looked at by one SELECT, whatever the filter lets through
        after, newest = db.execute("SELECT min(pos) - 1, max(pos) FROM reading").fetchone()
        while newest is not None and after < newest:
            bounds = {"sensor": sensor, "since": since, "until": until, "after": after, "upto": after + span}
            for pos, id, ts, name, val in db.execute(query, bounds).fetchall():
                yield StoredReading(pos, id, ts, name, decode_value(val))
            after += span
    except sqlite3.DatabaseError as e:
        raise JournalError(f"{path} cannot be read as a journal: {e}") from e
    finally:
        if db is not None:
            db.close()


def _lock(path: str) -> Any:
    try:
        file = open(os.path.realpath(path) + ".lock", "w")  # held open for as long as the journal is
    except OSError as e:
        raise JournalError(f"the journal {path} cannot be written ({e.strerror}); choose another with --journal") from e
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        file.close()
        raise JournalError(f"another hub is writing {path}; stop it, or choose another file with --journal") from e
    return file


def _connect(path: str) -> sqlite3.Connection:
    db = None
    try:
        # The real path: SQLite takes `:memory:` and `file:...` for something else.
        db = sqlite3.connect(
            os.path.realpath(path), isolation_level=None, check_same_thread=False, cached_statements=256
        )
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if version > VERSION:
            raise JournalError(
                f"{path} was written by a newer Bourn (format {version}, this one knows {VERSION}); update Bourn"
            )
        if tables if version == 0 else version != VERSION or not tables >= TABLES:
            raise JournalError(f"{path} is a database of something else; choose another file with --journal")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 67108864")
        if version == 0:
            db.executescript("BEGIN;" + SCHEMA + f"PRAGMA user_version = {VERSION};")
            db.execute("INSERT INTO meta VALUES ('hub', ?), ('pos', 0)", (secrets.token_hex(8),))
            db.execute("COMMIT")
    except (sqlite3.Error, JournalError) as e:
        if db is not None:
            db.close()
        if isinstance(e, JournalError):
            raise
        raise JournalError(f"the journal {path} cannot be opened ({e}); choose another with --journal") from e
    return db


def _read_only(path: str) -> sqlite3.Connection:
    return sqlite3.connect("file://" + quote(os.path.realpath(path)) + "?mode=ro", uri=True)
