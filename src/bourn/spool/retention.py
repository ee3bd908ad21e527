"""What a journal may keep: limits by bytes and by age, and what is removed to keep within them (CPython).

    removed      when
    by age       it came more than `keep_s` ago and every repository has it; or more than `hold_s` ago, had or not
    by bytes     the file comes near `bytes` and the policy is "drop_oldest"

The age is that of the hub: when a reading came, by a clock that never goes back and that nobody's setting of the time
moves while the hub runs. A reading's own `ts` is its sensor's word, and removes nothing.

What is removed before a repository had it stands in its place as one Gap ("trimmed") a stream, for that repository to
read, and is counted.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from bourn.clock import Clock
from bourn.spool.stored import PAGE

POLICIES = ("block", "drop_oldest")
LEAST_BYTES = 2 << 20
MOST_QUARANTINED = 10_000  # poisoned readings kept for looking at; the oldest go first
MOST_WAL_BYTES = 256 << 20
MOST_BATCH_BYTES = 64 << 20
CHECK_MS = 1000  # how often ages are looked at
MARKS = 50  # times noted within `keep_s`: how finely it is kept
MARK_MS = 3_600_000  # between two of them at most
EPOCHS_KEPT = 8  # of a source, however old and empty
FORGET_MS = 7 * 86_400_000  # since the last word of an epoch, before it may be forgotten
FORGET_EVERY_MS = 600_000
FORGET_SPAN = 20_000  # streams looked at each time


class Limits(NamedTuple):
    """What a journal may keep. `check` raises ValueError when that makes no sense."""

    bytes: int = 10_000_000_000  # of the file and its WAL together
    keep_s: float | None = None  # how long the journal keeps readings; None: for ever
    hold_s: float = 7 * 86_400.0  # how long beyond `keep_s` they wait for a repository that is behind
    when_full: str = "block"  # or "drop_oldest"

    def check(self) -> None:
        """ValueError, saying what to do, unless this can be kept."""
        if self.bytes < LEAST_BYTES:
            raise ValueError(f"a journal needs {LEAST_BYTES:,} bytes at least, not {self.bytes:,}")
        if self.when_full not in POLICIES:
            raise ValueError(f"a full journal can {' or '.join(POLICIES)}, not {self.when_full!r}")
        if self.keep_s is not None and self.keep_s <= 0:
            raise ValueError("readings have to be kept for some time; leave it out to keep them for ever")
        if self.hold_s < 0:
            raise ValueError("a repository that is behind cannot be waited for less than no time")

    # Of `bytes`, a fifth is for what is not yet in its place: the WAL, and one batch.

    @property
    def high(self) -> int:
        """Bytes in use in the database from which on it is full."""
        return self.bytes - self.bytes // 5

    @property
    def wal_bytes(self) -> int:
        """The WAL is never longer, but by one batch."""
        return min(MOST_WAL_BYTES, self.bytes // 16)

    @property
    def batch_bytes(self) -> int:
        """What may wait for one transaction."""
        return min(MOST_BATCH_BYTES, self.bytes // 32)

    @property
    def quarantined(self) -> int:
        """Readings kept in the quarantine, each of some 1 KB."""
        return min(MOST_QUARANTINED, self.bytes // 65_536)


def step(there: int) -> int:
    """How many of the rows there are removed at a time, where it is their bytes that count."""
    return max(10, min(PAGE, there // 256))


class Removed:
    """What one transaction has removed; it counts when it is committed."""

    def __init__(self) -> None:
        self.rows = 0
        self.upto = 0
        self.dropped = 0  # of these, before `keep_s` was over, or before every repository had them
        self.lacked: Counter[str] = Counter()  # cursor: readings removed before it had them
        self.forgotten = 0  # epochs
        self.quarantined = 0  # the oldest there, beyond its bound


class Retention:
    """Removes from the database `db` what `limits` do not keep; everything in the transaction that its caller began."""

    def __init__(
        self,
        db: sqlite3.Connection,
        limits: Limits,
        clock: Clock,
        retain_rows: int | None,
        in_use: Callable[[], set[int]],
    ) -> None:
        """`in_use` tells the ids of streams that are not to be forgotten, for someone has them open."""
        self.limits = limits
        self.more = False  # something is due, and was left for the next transaction
        self._db = db
        self._clock = clock
        self._retain_rows = retain_rows
        self._in_use = in_use
        self._page_bytes: int = db.execute("PRAGMA page_size").fetchone()[0]
        self.last_used = 0  # bytes, when it was last looked at
        self._marked, at = db.execute("SELECT max(pos), max(at) FROM arrival").fetchone()
        # Unstepped: whatever somebody does to the wall clock while the hub runs, and never before the last mark.
        self._offset = max(clock.wall(), at or 0) - clock.now()
        self._marked_at = at
        self._marked_before: tuple[int | None, int | None] = (self._marked, at)  # the transaction that is open
        self._mark_ms = MARK_MS if limits.keep_s is None else max(1, min(MARK_MS, int(limits.keep_s * 1000 / MARKS)))
        self._checked: int | None = None
        self._forgot = self.now()
        self._next_stream = 0

    def now(self) -> int:
        """Milliseconds since 1970 by the clock of ages."""
        return self._clock.now() + self._offset

    def used(self) -> int:
        """Bytes in use in the database; free pages inside of it are used before it grows."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0] - self._free()
        self.last_used = int(pages * self._page_bytes)
        return self.last_used

    def space(self) -> dict[str, int | float | str | None]:
        """What is used, what is allowed, and what becomes of the rest. The journal is full from `full_at` on."""
        limits = self.limits
        return {
            "bytes": self.last_used,
            "full_at": limits.high,
            "limit_bytes": limits.bytes,
            "keep_s": limits.keep_s,
            "hold_s": limits.hold_s,
            "when_full": limits.when_full,
        }

    def full(self) -> bool:
        """True if nothing more may be taken in."""
        return self.used() > self.limits.high

    def due(self, cursors: dict[str, int], last_pos: int) -> bool:
        """True if there is something to do although nothing came: an idle hub writes nothing."""
        if self._check_is_due():
            self._checked = self.now()
            upto = self.due_by_age(cursors, last_pos)
            self.more = self._db.execute("SELECT 1 FROM reading WHERE pos <= ? LIMIT 1", (upto,)).fetchone() is not None
        return self.more or self._may_mark(last_pos) or self._forget_is_due()

    def mark(self, pos: int) -> None:
        """Note now and then that everything up to `pos` has come by now."""
        self._marked_before = (self._marked, self._marked_at)
        if self._may_mark(pos):
            self._marked, self._marked_at = pos, self.now()
            self._db.execute("INSERT OR IGNORE INTO arrival VALUES (?,?)", (pos, self._marked_at))

    def keep(self, removed: Removed, cursors: dict[str, int], last_pos: int, there: int, coming: int) -> None:
        """Remove what is not kept any more, at most so many rows that it is done in a moment.

        `cursors`: how far each repository is. `there`: rows in the journal. `coming`: rows that will be added now.
        """
        rows = max(PAGE, 4 * coming)
        if self.more:
            upto = self.due_by_age(cursors, last_pos)
            self.more = upto > 0 and self.remove(removed, upto, cursors, rows) >= rows
        if self.limits.when_full == "drop_oldest" and coming:
            while self.full() and self.remove(removed, last_pos, cursors, step(there), early=True):
                pass
        if self._forget_is_due():
            self._forgot = self.now()
            self._forget(removed)

    def due_by_age(self, cursors: dict[str, int], last_pos: int) -> int:
        """The place up to which readings are old enough to go."""
        slowest = min(cursors.values(), default=last_pos)
        upto = 0
        if self._retain_rows is not None:
            upto = min(slowest if cursors else 0, last_pos - self._retain_rows)
        if self.limits.keep_s is not None:
            keep_ms = int(self.limits.keep_s * 1000)
            upto = max(upto, min(self._came_by(self.now() - keep_ms), slowest))
            upto = max(upto, self._came_by(self.now() - keep_ms - int(self.limits.hold_s * 1000)))
        return upto

    def remove(self, removed: Removed, upto: int, cursors: dict[str, int], limit: int, early: bool = False) -> int:
        """Remove the oldest readings up to the place `upto`, at most `limit` of them; how many. `early`: as drops."""
        execute = self._db.execute
        oldest, last, rows = execute(
            "SELECT min(pos), max(pos), count(*) FROM (SELECT pos FROM reading WHERE pos <= ? ORDER BY pos LIMIT ?)",
            (upto, limit),
        ).fetchone()
        if rows >= limit:
            upto = last
        behind = sorted({pos for pos in cursors.values() if pos < upto})
        slowest = behind[0] if behind else upto
        for table, seq in (("reading", "seq"), ("gap", "last")):
            ends = execute(f"SELECT max({seq}), stream FROM {table} WHERE pos <= ? GROUP BY stream", (upto,)).fetchall()
            self._db.executemany("UPDATE stream SET trimmed = max(trimmed, ?) WHERE id = ?", ends)
        lacked = 0  # by the slowest, which lacks what any other lacks
        if oldest is not None and behind:
            for low, high in zip(behind, [*behind[1:], upto], strict=True):
                if high >= oldest:
                    lacked += self._leave_gaps(
                        removed, low, high, [name for name, pos in cursors.items() if pos <= low]
                    )
        execute("DELETE FROM gap WHERE pos <= ?", (slowest,))
        execute("DELETE FROM reading WHERE pos <= ?", (upto,))
        execute("DELETE FROM arrival WHERE pos < ?", (upto,))
        removed.rows += rows
        removed.dropped += rows if early else lacked
        removed.upto = max(removed.upto, upto)
        return int(rows)

    def _leave_gaps(self, removed: Removed, low: int, high: int, lacking: list[str]) -> int:
        """In place of everything after `low` up to `high` one gap a stream, for repositories that lack it; how much."""
        execute = self._db.execute
        parts = execute(
            "SELECT max(pos), stream, min(first), max(last), sum(n) FROM ("
            "SELECT pos, stream, seq AS first, seq AS last, 1 AS n FROM reading WHERE pos > :low AND pos <= :high "
            "UNION ALL SELECT pos, stream, first, last, 0 FROM gap WHERE pos > :low AND pos <= :high) GROUP BY stream",
            {"low": low, "high": high},
        ).fetchall()
        execute("DELETE FROM gap WHERE pos > ? AND pos <= ?", (low, high))
        self._db.executemany("INSERT INTO gap VALUES (?,?,?,?,'trimmed')", [part[:4] for part in parts])
        rows = sum(part[4] for part in parts)
        removed.lacked.update(dict.fromkeys(lacking, rows))
        return rows

    def _forget(self, removed: Removed) -> None:
        """Forget epochs that can't come back: nothing is left of them, they are old, and many newer ones followed.

        An outbox sends its oldest epoch first, and again at each start until it has heard the ack and removed the file.
        An epoch that `EPOCHS_KEPT` others followed has survived as many starts of its sensor without being sent.
        """
        execute = self._db.execute
        first, self._next_stream = self._next_stream, self._next_stream + FORGET_SPAN
        empty = execute(
            "SELECT id FROM stream s WHERE id > ? AND id <= ? AND seen < ? "
            "AND newest < coalesce((SELECT min(pos) FROM reading), newest + 1) "
            "AND id NOT IN (SELECT stream FROM gap) AND id NOT IN (SELECT stream FROM quarantine) AND "
            "(SELECT count(*) FROM (SELECT 1 FROM stream n WHERE n.source = s.source AND n.id > s.id LIMIT ?)) = ?",
            (first, self._next_stream, self.now() - FORGET_MS, EPOCHS_KEPT, EPOCHS_KEPT),
        ).fetchall()
        in_use = self._in_use()
        empty = [(id,) for (id,) in empty if id not in in_use]
        self._db.executemany("DELETE FROM stream WHERE id = ?", empty)
        removed.forgotten += len(empty)
        if self._next_stream > (execute("SELECT max(id) FROM stream").fetchone()[0] or 0):
            self._next_stream = 0

    def worth_shrinking(self) -> bool:
        """True where the limit was lowered, and the file holds free pages that it may not keep."""
        free = self._free() * self._page_bytes
        return free >= 1 << 20 and self.used() + free > self.limits.bytes

    def shrink(self) -> None:
        """Give the free pages back to the file system: the file is written anew."""
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def rolled_back(self) -> None:
        """What was noted and removed in this transaction was not."""
        self._marked, self._marked_at = self._marked_before

    def _free(self) -> int:
        return int(self._db.execute("PRAGMA freelist_count").fetchone()[0])

    def _came_by(self, at: int) -> int:
        """The last place known to have come by then."""
        return int(self._db.execute("SELECT coalesce(max(pos), 0) FROM arrival WHERE at <= ?", (at,)).fetchone()[0])

    def _may_mark(self, pos: int) -> bool:
        return pos > (self._marked or 0) and (self._marked_at is None or self.now() - self._marked_at >= self._mark_ms)

    def _check_is_due(self) -> bool:
        if self._retain_rows is None and self.limits.keep_s is None:
            return False
        return self._checked is None or self.now() - self._checked >= CHECK_MS

    def _forget_is_due(self) -> bool:
        return self.now() - self._forgot >= FORGET_EVERY_MS
