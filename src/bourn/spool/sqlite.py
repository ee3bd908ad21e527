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

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from itertools import chain
from operator import itemgetter
from typing import Any
from weakref import WeakValueDictionary

from bourn.clock import Clock
from bourn.spool import Gap
from bourn.spool.recent import Entry, Recent
from bourn.spool.retention import Limits, Removed, Retention, step
from bourn.spool.sqlite_file import JournalError, Say, is_no_room, lock_journal, no_room, open_journal, read_only
from bourn.spool.stored import PAGE, StoredReading, decode_value, delete_quarantine, encode_value, read_journal

__all__ = [
    "PAGE",
    "Entry",
    "JournalError",
    "JournalFull",
    "Limits",
    "SqliteSpool",
    "StoredReading",
    "Stream",
    "decode_value",
    "encode_value",
    "read_journal",
]

CHUNK = 100  # rows of one multi-VALUES INSERT
ROW_BYTES = 200  # that a reading takes in memory beside what it came in
RAW_CHARACTERS = 1000  # kept of a poisoned reading
KNOWN_STREAMS = 10_000  # names of streams that readers of the file remember


class JournalFull(Exception):
    """Nothing more is taken in for now; the text says why and what to do."""


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


class _Batch:
    """What goes into one transaction."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.quarantine: list[tuple[int, int, int, str, str, int]] = []
        self.lasts: dict[Stream, int] = {}
        self.readings = 0
        self.bytes = 0  # as they came

    def __bool__(self) -> bool:
        return bool(self.lasts)


class SqliteSpool:
    """The spool contract over the database `path`; `append` takes `(source, epoch, seq, sensor, ts, val)`.

    `limits` say what is kept, and what happens when it is full. Readings are trimmed with the transactions of those
    that come, and while none come by `insert`. `retain_rows`: keep that many, however old, and let `trim` remove what
    is older than these and acknowledged. `say` hears of long work at the opening.
    """

    def __init__(
        self,
        path: str,
        retain_rows: int | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        say: Say | None = None,
    ) -> None:
        self.path = path
        self._wal = os.path.realpath(path) + "-wal"
        self.limits = limits or Limits()
        self.limits.check()
        self._pos = 0  # the last place given
        self._last_pos = 0  # the last place that can be read
        self._lock_file = lock_journal(path)
        try:
            self._db = open_journal(path, say)
            try:
                self._load()
                self._retention = Retention(self._db, self.limits, clock or Clock(), retain_rows, self._in_use)
                self._bound_files(say)
                self._retention.used()
            except (sqlite3.Error, KeyError) as e:
                self._db.close()
                if is_no_room(e, path):
                    raise no_room(path, e) from e
                raise JournalError(f"the journal {path} is damaged ({e}); choose another with --journal") from e
        except BaseException:
            self._lock_file.close()
            raise
        self._lock = threading.Condition()  # guards _recent, _cursors, _dirty and _last_pos
        self._recent = Recent()
        self._open = _Batch()  # being filled
        self._batch = _Batch()  # inserted, or to be inserted again: at most one
        self._removed = Removed()  # in the transaction that is open
        self._saving: dict[str, tuple[int, str | None] | None] = {}  # None: to be forgotten
        self._local = threading.local()
        self._unwanted = 0  # what is in the quarantine up to this place is to be removed
        self._dropping = 0  # the same, in the transaction that is open
        self._closed = False
        self.full = False  # nothing more is taken in
        self.dropped_for: Counter[str] = Counter()  # cursor: readings removed before it had them, since the start
        self.counters = {
            "appended": 0,
            "refused": 0,
            "dropped": 0,
            "torn": 0,
            "duplicates": 0,
            "quarantined": 0,
            "quarantine_dropped": 0,  # the oldest, beyond its bound
            "gaps": 0,
            "trimmed": 0,  # readings removed as old as was asked for
            "full": 0,  # times that a batch had to wait because of it
            "epochs_forgotten": 0,
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
            rows = self._recent.read(after, limit)
            if rows is not None:
                return rows
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
        """Remove what no limit keeps, at most PAGE readings per call; how many."""
        cursors = self.cursors()
        upto = self._retention.due_by_age(cursors, self._last_pos)
        if not upto:
            return 0
        removed = Removed()
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._save_cursors()
            self._retention.remove(removed, upto, cursors, PAGE)
            self._save_counters(-removed.rows)
        self._settle(removed)
        return removed.rows

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
            # The owner's reader; those of other threads go with their threads. The one that may write is closed last:
            # it removes the WAL's two files, which one that only reads leaves behind.
            self._reader().close()
            self._db.close()
            self._lock_file.close()

    # -- what ingest asks for

    def stream(self, source: str, epoch: str) -> Stream:
        """The state of one epoch of one source, a new one if it was never seen."""
        stream = self._streams.get((source, epoch))
        if stream is None:
            row = (
                self._reader()
                .execute("SELECT id, last FROM stream WHERE source = ? AND epoch = ?", (source, epoch))
                .fetchone()
            )
            id, last = row or (0, 0)
            stream = self._streams[source, epoch] = Stream(id, source, epoch, last)
        return stream

    def take(self, stream: Stream, rows: list[tuple[int, str, int, Any]], size: int = 0) -> None:
        """Take readings `(seq, sensor, ts, val)` of one stream, in order and without holes, already checked.

        `size`: the bytes in which they came.
        """
        self._keep(stream)
        pos = self._pos
        batch = self._open
        batch.entries += [(pos := pos + 1, stream, *row) for row in rows]
        batch.readings += len(rows)
        batch.bytes += size
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
        poison = (self._pos, stream.id, seq, reason, raw[:RAW_CHARACTERS], self._retention.now())
        self._open.quarantine.append(poison)
        self._open.bytes += ROW_BYTES + len(poison[4])
        stream.last = self._open.lasts[stream] = seq
        self.counters["quarantined"] += 1

    def waiting_bytes(self) -> int:
        """About how much memory what waits for its commit takes."""
        return self._open.bytes + self._batch.bytes + ROW_BYTES * (self._open.readings + self._batch.readings)

    def pending(self) -> int:
        """How many readings wait for the next transaction."""
        return self._open.readings

    def insert(self, cursors: bool = True) -> bool:
        """Begin a transaction with everything taken so far; False when there is nothing to commit.

        The cursors go with it; without readings they are worth a transaction only if `cursors`. So does the removal of
        what is not kept any more. JournalFull: there is no room, and what was taken waits.

        After a failure of this or of `commit`, call `rollback` and then this again: nothing that was taken is lost.
        """
        if not self._batch:
            self._batch, self._open = self._open, _Batch()
        batch = self._batch
        at = self.cursors()
        due = self._retention.due(at, self._last_pos) or self._unwanted > 0
        if not batch and not cursors and not self._saving and not due:
            return False
        with self._lock:
            if not batch and not self._dirty and not self._saving and not due:
                return False
        self._bound_wal()
        self._db.execute("BEGIN IMMEDIATE")
        self._save_cursors()
        self._removed = Removed()
        self._retention.mark(self._last_pos)
        self._retention.keep(self._removed, at, self._last_pos, self.rows, batch.readings)
        self._dropping = self._unwanted
        if self._dropping:
            delete_quarantine(self._db, self._dropping)
        if batch and self._retention.full():
            self._save_counters(-self._removed.rows)
            self._db.execute("COMMIT")  # rarely: what could be removed is
            self._saving = {}
            self._settle(self._removed)
            self._refuse(f"the journal is full ({self.limits.bytes:,} bytes); allow it more, or let it drop the oldest")
        self._insert_batch(batch)
        self._save_counters(batch.readings - self._removed.rows)
        return True

    def _insert_batch(self, batch: _Batch) -> None:
        execute = self._db.execute
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
        if len(rows) < len(batch.entries):
            gaps = [(entry[0], entry[1].id, *entry[2]) for entry in batch.entries if len(entry) == 3]
            self._db.executemany("INSERT INTO gap VALUES (?,?,?,?,?)", gaps)
        if batch.quarantine:
            self._db.executemany("INSERT INTO quarantine VALUES (?,?,?,?,?,?)", batch.quarantine)
            self._removed.quarantined = execute(
                "DELETE FROM quarantine WHERE pos <= (SELECT pos FROM quarantine ORDER BY pos DESC LIMIT 1 OFFSET ?)",
                (self.limits.quarantined,),
            ).rowcount
        now = self._retention.now()
        for stream, last in batch.lasts.items():
            execute(
                "INSERT INTO stream (id, source, epoch, last, newest, seen) VALUES (?,?,?,?,?,?) "
                "ON CONFLICT (id) DO UPDATE SET last = excluded.last, newest = excluded.newest, seen = excluded.seen",
                (stream.id, stream.source, stream.epoch, last, self._pos, now),
            )

    def commit(self) -> None:
        """Commit the transaction: on disk when this returns. The one call that may run in another thread."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """After a failed insert or commit: undo it; what was taken is kept for the next `insert`."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._removed = Removed()
        self._retention.rolled_back()

    def committed(self) -> dict[Stream, int]:
        """Give the committed batch to the readers; returns the streams that moved, each with its last number."""
        batch, self._batch = self._batch, _Batch()
        self._saving = {}
        self.full = False
        if self._unwanted == self._dropping:  # else one more was asked for while this was being committed
            self._unwanted = 0
        for stream, last in batch.lasts.items():
            stream.committed = last
        self.counters["appended"] += batch.readings
        self.rows += batch.readings
        removed, self._removed = self._removed, Removed()
        self._settle(removed)
        with self._lock:
            if batch.entries:
                self._recent.add(batch.entries, batch.bytes)
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

    def drop_quarantine(self, upto: int | None = None) -> int:
        """With the next transaction, remove what is in the quarantine, up to the place `upto`; how many that is."""
        self._unwanted = self._pos if upto is None else min(upto, self._pos)
        count: int = (
            self._reader().execute("SELECT count(*) FROM quarantine WHERE pos <= ?", (self._unwanted,)).fetchone()[0]
        )
        return count

    def space(self) -> dict[str, Any]:
        """For the page: what is used, what is allowed, and what becomes of the rest."""
        return {
            **self._retention.space(),
            "full": self.full,
            "trimmed": self.counters["trimmed"],
            "dropped": self.counters["dropped"],
            "dropped_for": dict(self.dropped_for),
        }

    def oldest(self) -> int | None:
        """When the oldest reading that is still there was measured, by its sensor (ms since 1970); None without one."""
        row = self._reader().execute("SELECT ts FROM reading ORDER BY pos LIMIT 1").fetchone()
        return None if row is None else int(row[0])

    # -- inside

    def _keep(self, stream: Stream) -> None:
        if not stream.id:
            self._stream_id += 1
            stream.id = self._stream_id

    def _load(self) -> None:
        db = self._db
        meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
        self.hub: str = meta["hub"]
        self._pos = meta["pos"]
        self.rows: int = meta["rows"]  # readings in the file
        # The newest entry, not the newest place: a quarantined reading has a place, and nothing to read there.
        newest = "SELECT max(coalesce((SELECT max(pos) FROM reading), 0), coalesce((SELECT max(pos) FROM gap), 0))"
        self._last_pos = db.execute(newest).fetchone()[0]
        # Those in use: by a link, by what waits for its commit, by entries in memory. The file knows the others, and a
        # greeting alone costs no memory.
        self._streams: WeakValueDictionary[tuple[str, str], Stream] = WeakValueDictionary()
        self._known: dict[int, Stream] = {}  # what readers of the file name streams by; nobody takes into these
        self._stream_id = db.execute("SELECT max(id) FROM stream").fetchone()[0] or 0
        self._cursors: dict[str, tuple[int, str | None]] = {
            name: (pos, mark) for name, pos, mark in db.execute("SELECT name, pos, mark FROM cursor")
        }
        self._dirty: set[str] = set()

    def _in_use(self) -> set[int]:
        return {stream.id for stream in self._streams.values()}

    def _bound_files(self, say: Say | None) -> None:
        """Make the limits known to SQLite, and a file smaller whose limit was lowered."""
        execute = self._db.execute
        wal_bytes = min(64 << 20, self.limits.wal_bytes)
        execute(f"PRAGMA journal_size_limit = {wal_bytes}")
        execute(f"PRAGMA wal_autocheckpoint = {min(1000, wal_bytes // 16_384)}")
        size = os.path.getsize(os.path.realpath(self.path))
        if size <= self.limits.bytes:
            return
        say = say or (lambda *told: None)
        cursors = {name: pos for name, (pos, _) in self._cursors.items()}
        before = max(1, self._retention.used() - self.limits.high)
        while self.limits.when_full == "drop_oldest" and self._retention.full():
            removed = Removed()
            execute("BEGIN IMMEDIATE")
            rows = self._retention.remove(removed, self._last_pos, cursors, 10 * step(self.rows), early=True)
            self.rows -= rows
            self._save_counters(0)
            execute("COMMIT")
            left = max(0, self._retention.used() - self.limits.high)
            say(f"{self.path}: removing what is beyond {self.limits.bytes:,} bytes", before - left, before)
            if not rows:
                break
        if self._retention.worth_shrinking():
            say(f"{self.path}: making the file smaller", 0, 0)
            try:
                self._retention.shrink()
            except sqlite3.OperationalError as e:  # no room for the copy: the pages are free inside all the same
                say(f"{self.path}: it stays as long as it is ({e})")

    def _bound_wal(self) -> None:
        """A WAL that a reader elsewhere holds must not grow for ever: JournalFull until it is let go."""
        try:
            size = os.path.getsize(self._wal)
        except FileNotFoundError:
            return
        if size <= self.limits.wal_bytes:
            return
        self._db.execute("PRAGMA busy_timeout = 0")
        try:
            held = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self._db.execute("PRAGMA busy_timeout = 5000")
        if held:
            self._refuse(f"{self.path}-wal has {size:,} bytes and is held by a program that reads it; end that program")

    def _refuse(self, why: str) -> None:
        self.full = True
        self.counters["full"] += 1
        raise JournalFull(why)

    def _save_cursors(self) -> None:
        with self._lock:
            for name in self._dirty:
                self._saving[name] = self._cursors.get(name)
            self._dirty.clear()
        for name, saved in self._saving.items():
            if saved is None:
                self._db.execute("DELETE FROM cursor WHERE name = ?", (name,))
            else:
                self._db.execute("INSERT OR REPLACE INTO cursor VALUES (?,?,?)", (name, *saved))

    def _save_counters(self, more: int) -> None:
        """`more`: readings in the file after this transaction, beside those before."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('pos', ?), ('rows', ?)", (self._pos, self.rows + more))

    def _settle(self, removed: Removed) -> None:
        """What was removed is gone for good: count it, and let nobody read it from memory."""
        self.rows -= removed.rows
        self.counters["trimmed"] += removed.rows - removed.dropped
        self.counters["dropped"] += removed.dropped
        self.counters["quarantine_dropped"] += removed.quarantined
        self.counters["epochs_forgotten"] += removed.forgotten
        self.dropped_for.update(removed.lacked)
        with self._lock:
            self._recent.forget(removed.upto)

    def _reader(self) -> sqlite3.Connection:
        """One read connection per thread: a reader never waits for the writer."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = read_only(self.path)
            db.isolation_level = None
        return db

    def _select(self, after: int, upto: int, limit: int) -> list[Entry]:
        """From the file, as it was at one moment; no further than `upto`, for what comes later is read from memory."""
        db = self._reader()
        db.execute("BEGIN")
        try:
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
            names = {id: self._name(db, id) for id in {row[1] for row in rows} | {gap[1] for gap in gaps}}
        finally:
            db.execute("COMMIT")
        entries: list[Entry] = [(r[0], names[r[1]], r[2], r[3], r[4], decode_value(r[5])) for r in rows]
        if gaps:
            entries += [(g[0], names[g[1]], Gap(*g[2:])) for g in gaps]
            entries.sort(key=itemgetter(0))
        return entries[:limit]

    def _name(self, db: sqlite3.Connection, id: int) -> Stream:
        stream = self._known.get(id)
        if stream is None:
            if len(self._known) >= KNOWN_STREAMS:
                self._known = {}
            source, epoch = db.execute("SELECT source, epoch FROM stream WHERE id = ?", (id,)).fetchone()
            stream = self._known[id] = Stream(id, source, epoch, 0)
        return stream
