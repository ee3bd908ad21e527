"""Drives one repository: a thread, a follower of the journal, a back-off. A slow or broken one delays only itself."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from bourn.hub.log import redact, told
from bourn.hub.repositories import Repository, Unreachable
from bourn.spool.follower import Follower
from bourn.spool.sqlite import PAGE, Entry, SqliteSpool, encode_value
from bourn.spool.sqlite_file import is_no_room

BACKOFF_S = (0.1, 0.5, 2.0, 10.0, 30.0)  # pauses after failures; the last one repeats
BATCH_BYTES = 16 << 20  # of one batch, roughly: what a repository that asks for many entries keeps in memory
KEEPING_UP = 5 * PAGE  # places behind the newest: no more than is on its way when all is well
ENTRY_BYTES = 100  # of an entry with a plain number

Start = str | int | None  # "now", "oldest", or the place of the first entry it gets; None: as "now"


class Driver:
    """Gives `repository` what the journal commits, from where it stood when it was known before, else from `start`.

    `start()` raises what the repository's first `open` raises, so that a wrong path is told at once; a server that is
    away (`Unreachable`) and later failures are tried again for ever, and shown in `last_error`.
    """

    def __init__(
        self,
        journal: SqliteSpool,
        repository: Repository,
        start: Start = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.repository = repository
        self._journal = journal
        self._start = start
        self._clock = clock
        self._follower = Follower(journal, repository.url if repository.keeps else None)
        self._done: int | None = self._follower.at  # the repository has everything up to there
        self._batch: list[Entry] = []  # follows `_done`: read, and not written yet
        self._batch_bytes = 0
        self._batch_since = 0.0
        self._behind_from: int | None = None  # the place from which it catches up
        self._batch_rows: int = getattr(repository, "batch_rows", PAGE)
        self._batch_age_s: float = getattr(repository, "batch_age_s", 0)
        self.last_error: str | None = None
        self.written = 0  # readings and gaps it took
        self.retries = 0  # attempts that failed
        self.write_ms = 0.0  # of one batch: a moving average
        self.forgotten = False  # its cursor was given up while it was in the middle of a write
        self._draining = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bourn-{repository.url}", daemon=True)

    def start(self) -> None:
        """Open the repository and begin. OSError, ValueError and the like when it can never be opened like that."""
        known = self._done is not None
        try:
            self._open()
        except (OSError, sqlite3.Error) as e:
            full = is_no_room(e, getattr(self.repository, "path", None) or ".")
            if not isinstance(e, Unreachable) and not (
                known and full
            ):  # full since: that heals like a server's absence
                raise
            self._failed(e)
        if not known:
            self._place()
        self._thread.start()

    def stop(self, timeout_s: float, drain: bool = True) -> bool:
        """Let it take what is committed (or, without `drain`, what it has begun with), then close it.

        False if that took longer than `timeout_s`; the thread then ends as soon as the repository lets it.
        """
        self._draining = drain
        self._stop.set()
        self._journal.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    @property
    def lag(self) -> int:
        """Places between what is committed and what it has."""
        return max(0, self._journal.last_pos() - (self._done or 0))

    def status(self) -> dict[str, Any]:
        """For the page, `bourn status` and `bourn repositories list`."""
        return {
            "name": redact(self.repository.url),
            "state": "stopping" if self._stop.is_set() else "retrying" if self.last_error else "up",
            "pos": self._done or 0,
            "lag": self.lag,
            "progress": self._progress(),
            "written": self.written,
            "retries": self.retries,
            "write_ms": round(self.write_ms, 2),
            "last_error": self.last_error,
        }

    def _progress(self) -> float | None:
        """Which part of what it lacked it has by now; None for one that keeps up."""
        began, done, newest = self._behind_from, self._done or 0, self._journal.last_pos()
        return None if began is None or newest <= began else round(max(0, done - began) / (newest - began), 3)

    def _open(self) -> None:
        self.repository.open(self._journal.mark(self.repository.url))
        resume = getattr(self.repository, "resume", None)
        if resume is not None:
            place = resume(self._journal.hub, self._done)
            if place is not None and place != self._done and place <= self._journal.last_pos():
                self._rewind(place)

    def _rewind(self, place: int) -> None:
        """The repository is known to have everything up to `place`, and nothing behind it."""
        self._batch = []
        self._batch_bytes = 0
        self._done = place
        self._follower.rewind(place)

    def _place(self) -> None:
        """Where to begin with one that was never here before."""
        newest = self._journal.last_pos()
        start = self._start
        if start is None and self._done is not None:
            return  # it said itself where it is
        if start is None or start == "now":
            first = newest + 1
        elif start == "oldest":
            first = 1
        elif isinstance(start, int) and 1 <= start <= newest + 1:
            first = start
        else:
            raise ValueError(f"it cannot begin at {start}: the newest place in the journal is {newest}")
        if first <= newest and hasattr(self.repository, "refuse_repeats"):
            self.repository.refuse_repeats(self._journal.hub)
        if self.repository.keeps:
            mark = None if self.last_error else self.repository.write([])
            self._journal.ack(first - 1, self.repository.url, mark)
        self._rewind(first - 1)

    def _run(self) -> None:
        failures = 1 if self.last_error else 0
        pause = BACKOFF_S[0] if failures else 0.0
        while not (pause and self._stop.wait(pause)):  # what it has not taken is kept in the journal, for a cursor
            pause = 0.0
            try:
                if failures:
                    self._open()
                due = self._collect()
                if due:
                    self._write()
                if failures:
                    self._tell(logging.WARNING, "repository_recovered", "goes on")
                failures = 0
                self.last_error = None
            except BaseException as e:  # the edge of a thread (a library in Rust panics with no Exception): it is told,
                self._failed(e, first=not failures)  # and tried again
                pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
            else:
                if not due:
                    if self._stop.is_set():
                        break
                    self._wait()
        try:
            self.repository.close()
        except BaseException as e:  # the edge of a thread: whoever stopped it looks here
            self.last_error = redact(f"{type(e).__name__}: {e}")

    def _collect(self) -> bool:
        """Add to the batch what there is and room for; True when it is to be written."""
        batch = self._batch
        while self._draining or not self._stop.is_set():
            room = self._batch_rows - len(batch)
            if room <= 0 or self._batch_bytes >= BATCH_BYTES:
                return True
            page = self._follower.read(min(room, PAGE))
            if not page:
                break
            if not batch:
                self._batch_since = self._clock()
            batch += page  # its own list: the page may be the journal's
            self._follower.sent(page[-1][0], len(page))
            if self._batch_rows > PAGE:
                self._batch_bytes += sum(map(_weight, page))
        if not batch:
            return False
        return self._stop.is_set() or self._clock() - self._batch_since >= self._batch_age_s

    def _write(self) -> None:
        batch = self._batch
        began = time.perf_counter()
        mark = self.repository.write(batch)
        self.write_ms += ((time.perf_counter() - began) * 1000 - self.write_ms) * 0.1
        last = batch[-1][0]
        if self._journal.last_pos() - last <= KEEPING_UP:
            self._behind_from = None
        elif self._behind_from is None:
            self._behind_from = batch[0][0] - 1
        self.written += len(batch)
        self._batch = []
        self._batch_bytes = 0
        self._done = last
        if not self.forgotten:
            self._follower.ack(last, mark if self.repository.keeps else None)

    def _wait(self) -> None:
        """Until there is more, or the batch is old enough, or it is to stop."""
        rest = self._batch_since + self._batch_age_s - self._clock() if self._batch else None
        self._journal.wait(self._follower.at, self._stop.is_set, rest)

    def _failed(self, e: BaseException, first: bool = True) -> None:
        self.last_error = redact(str(e) if isinstance(e, Unreachable) else f"{type(e).__name__}: {e}")
        self.retries += 1
        if first:
            self._tell(logging.ERROR, "repository_failed", self.last_error)

    def _tell(self, level: int, event: str, text: str) -> None:
        told(level, event, f"repository {self.repository.url}: {text}", repository=self.repository.url)


def _weight(entry: Entry) -> int:
    """About how many bytes of memory an entry holds."""
    val = entry[-1]
    if isinstance(val, str):
        return ENTRY_BYTES + len(val)
    if isinstance(val, (list, dict)):
        return ENTRY_BYTES + 8 * len(encode_value(val))
    return ENTRY_BYTES
