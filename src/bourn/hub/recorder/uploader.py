"""Archives, uploads, verifies, then deletes, until nothing is left; no failure ends it."""

from __future__ import annotations

import logging
import queue
import random
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bourn.hub.log import redact, told
from bourn.hub.recorder.archive import ArchiveError, pack
from bourn.hub.recorder.backoff import Backoff
from bourn.hub.recorder.catalogue import WAITING, Catalogue, Row
from bourn.hub.recorder.space import Space
from bourn.hub.recorder.store import Failure

LONGEST_WAIT_S = 3600.0  # then it looks again, whatever the clock has done
ROWS = 64  # files looked at together
GB = 1e9
TIDY_MS = 86_400_000  # how often unfinished uploads are looked for
TIDY_AGAIN_MS = 3_600_000  # where that failed


class Rules(NamedTuple):
    """How uploads behave."""

    archive: str = ".tar.zst"
    backoff: Backoff = Backoff()
    give_up_after: int = 0  # failures in a row after which a file is parked; 0: never
    bytes_per_s: int = 0  # 0: as fast as the network is
    price_per_gb: float = 0.0
    budget: float = 0.0  # a month, in the unit of the price; 0: no bound
    read_back: bool = False  # verify by reading every object back


class Uploader:
    """One worker with at most one task waiting: `trigger()` while a pass runs means one more pass, and no more.

    `run_pass()` is the work: it takes what is sealed, oldest first, and what failed before and is due; it returns when
    nothing is left that could be done now. `wait_ms()` then says how long to wait for the next thing to become due.
    `start()` runs both in a thread, which nothing but `stop()` ends. The store is any object with `upload` as
    ObjectStore has it.
    """

    def __init__(
        self,
        folder: str,
        catalogue: Catalogue,
        store: Any,
        space: Space,
        rules: Rules | None = None,
        wall: Callable[[], int] | None = None,
        rng: random.Random | None = None,
        wait: Callable[[float], Any] | None = None,
    ) -> None:
        from bourn.clock import Clock

        self.rules = rules or Rules()
        self.passes = 0
        self.failures = 0  # attempts, of whatever kind
        self.uploaded = 0  # files
        self.uploaded_bytes = 0
        self.parked = 0
        self.last_error: str | None = None
        self.over_budget = False
        self.progress: tuple[str, int, int] | None = None  # the object being sent, bytes sent, bytes in all
        self._folder = folder
        self._catalogue = catalogue
        self._store = store
        self._space = space
        self._wall = wall or Clock().wall
        self._rng = rng or random.Random()
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._ready_at = 0.0  # in milliseconds of the wall: when the bandwidth limit allows the next byte
        self._last_cost_ms = 0.0
        self._tasks: queue.Queue[None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="bourn-uploader", daemon=True)
        self._owner: tuple[str, str] | None = None  # name and epoch of what this folder records
        self._tidy_at = 0  # when unfinished uploads are looked for
        self.aborted = 0  # of them
        self._idle = threading.Event()
        self._lock = threading.Lock()  # of what `settled` tells

    def owns(self, name: str, epoch: str) -> None:
        """Uploads of that recording are this uploader's alone: what was cut short of them may be aborted."""
        self._owner = name, epoch

    # -- the worker

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def trigger(self) -> bool:
        """One pass, or one more; False when one is waiting already. Never waits."""
        with self._lock:
            self._idle.clear()
            try:
                self._tasks.put_nowait(None)
            except queue.Full:
                return False
        return True

    def stop(self, timeout_s: float) -> bool:
        """End after what is under way; False if that takes longer."""
        self._stop.set()
        self.trigger()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def settled(self, timeout_s: float) -> bool:
        """Wait until a pass has ended with no task waiting."""
        return self._idle.wait(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        due = False
        while not self._stop.is_set():
            try:
                if not due:
                    self._tasks.get(timeout=self.wait_ms() / 1000)
            except queue.Empty:
                due = True
            except (sqlite3.Error, OSError) as e:
                self._trouble("the catalogue cannot be read", e)
                self._wait(1.0)
            if self._stop.is_set():
                return
            due = False
            try:
                self.run_pass()
            except Exception as e:  # whatever it was, it must not end the uploads: told, counted, tried again
                self._trouble("a pass ended early", e)
                self._wait(self.rules.backoff.pause_ms(min(self.failures, 10), None, False, self._rng) / 1000)
                due = True
            with self._lock:
                if self._tasks.empty():
                    self._idle.set()

    def wait_ms(self) -> int:
        """How long nothing becomes due by itself."""
        now = self._wall()
        rows = self._catalogue.rows("state IN ('archived', 'uploading')", order="next_at", limit=1)
        if not rows:
            return int(LONGEST_WAIT_S * 1000)
        at = max(self._bounded(rows[0].next_at, now), self._bounded(self._pause()["at"], now), self._budget_at(now))
        return max(1, min(at - now, int(LONGEST_WAIT_S * 1000)))

    # -- one pass

    def run_pass(self) -> None:
        """Do all that can be done now."""
        self.passes += 1
        self._tidy()
        stuck: set[int] = set()  # could not be archived in this pass
        while not self._stop.is_set():
            self._finish()
            row = self._due()
            if row is not None:
                self._upload(row)
                continue
            sealed = [row for row in self._catalogue.rows("state = 'sealed'", limit=ROWS) if row.id not in stuck]
            if not sealed:
                return
            if not self._archive(sealed[0]):
                stuck.add(sealed[0].id)

    def _tidy(self) -> None:
        """Once a day, and with the first pass: abort the uploads that a crash or a network has cut short."""
        now = self._wall()
        early = 0 < self._tidy_at - now <= TIDY_MS or self._bounded(self._pause()["at"], now) > now
        if self._owner is None or early or not hasattr(self._store, "abort_unfinished"):
            return
        self._tidy_at = now + TIDY_MS
        try:
            count = self._store.abort_unfinished(*self._owner) or 0
        except Failure as e:  # nothing depends on it; the first upload tells what is wrong
            self._tidy_at = now + TIDY_AGAIN_MS
            told(logging.INFO, "unfinished", f"unfinished uploads could not be looked for: {redact(str(e))}")
            return
        self.aborted += count
        if count:
            told(logging.INFO, "unfinished", f"{count} uploads that were cut short are aborted: their parts are gone")

    def _finish(self) -> None:
        """What is verified may go."""
        for row in self._catalogue.rows("state = 'verified'", limit=ROWS):
            self._remove(row.file.sealed)
            self._remove(row.archive)
            self._catalogue.move(row.id, "deleted", ["verified"], done_at=self._wall())

    def _due(self) -> Row | None:
        """The oldest file that may be sent now."""
        now = self._wall()
        if self._bounded(self._pause()["at"], now) > now:
            return None
        for row in self._catalogue.rows("state IN ('archived', 'uploading') AND next_at <= ?", now, limit=1):
            return row if self._affordable(row, now) else None
        # A clock that was set back leaves times that are too far ahead; they are bounded here.
        for row in self._catalogue.rows("state IN ('archived', 'uploading')", order="next_at DESC", limit=1):
            bounded = self._bounded(row.next_at, now)
            if bounded < row.next_at:
                self._catalogue.move(row.id, row.state, WAITING, next_at=bounded)
        return None

    def _archive(self, row: Row) -> bool:
        """From sealed to archived; False if it has to wait."""
        size = row.bytes or 0
        if self.rules.archive != ".plain" and not self._space.room(size + 65536, reserved=True):
            return False
        try:
            packed = pack(self._folder, row.file, row.sha256 or "", self.rules.archive)
        except FileNotFoundError:
            self._catalogue.move(row.id, "missing", ["sealed"], error="the file is not there", done_at=self._wall())
            self._trouble(f"{row.file.sealed} is missing", None)
            return True
        except ArchiveError as e:
            self._catalogue.move(row.id, "damaged", ["sealed"], error=str(e))
            self._trouble(f"{row.file.sealed} has changed on the disk", e)
            return True
        except OSError as e:
            self._catalogue.move(row.id, "sealed", ["sealed"], error=_text(e))
            self._trouble(f"{row.file.sealed} cannot be archived", e)
            return False
        if self.rules.archive != ".plain":
            self._space.add(packed.bytes)
        if self._catalogue.archived(row, self.rules.archive, packed.bytes, packed.sha256, self._wall()):
            if self.rules.archive != ".plain":
                self._remove(row.file.sealed)
        else:  # dropped meanwhile: the disk was full
            self._remove(row.file.sealed + self.rules.archive)
        return True

    def _upload(self, row: Row) -> None:
        if not self._catalogue.move(row.id, "uploading", WAITING):
            return  # dropped meanwhile
        size, sent = row.packed_bytes or 0, 0

        def paced(count: int) -> None:
            nonlocal sent
            self._pace(count)
            sent += count
            self.progress = (row.remote or "", sent, size)

        self.progress = (row.remote or "", 0, size)
        try:
            etag = self._store.upload(
                f"{self._folder}/{row.archive}", row.remote, paced, row.packed_sha256, self.rules.read_back
            )
        except FileNotFoundError as e:
            self._catalogue.move(row.id, "missing", ["uploading"], error=_text(e), done_at=self._wall())
            self._trouble(f"{row.archive} is missing", e)
        except Failure as e:
            self._failed(row, e)
        except OSError as e:
            self._failed(row, Failure(_text(e), alone=True))
        else:
            self._catalogue.move(row.id, "verified", ["uploading"], etag=etag, error=None, done_at=self._wall())
            self.uploaded += 1
            self.uploaded_bytes += size
            self.last_error = None
            if self._pause()["failures"]:
                told(logging.INFO, "uploads go on", f"uploads go on: {row.remote}")
                self._catalogue.put_meta("pause", None)
        finally:
            self.progress = None
            if sent:
                self._catalogue.spend(self._month(self._wall()), sent)

    def _failed(self, row: Row, e: Failure) -> None:
        """Wait, longer each time: this file, and, unless the trouble is the file's own, all others with it."""
        if self._stop.is_set():
            self._catalogue.move(row.id, "archived", ["uploading"])
            return
        now, attempts = self._wall(), row.attempts + 1
        self.failures += 1
        text = redact(str(e))
        self.last_error = text
        pause = self.rules.backoff.pause_ms(attempts, e.asked_s, e.permanent, self._rng)
        if not e.alone:
            failures = self._pause()["failures"] + 1
            pause = self.rules.backoff.pause_ms(failures, e.asked_s, e.permanent, self._rng)
            kept = {"failures": failures, "at": now + pause, "error": text, "permanent": e.permanent}
            self._catalogue.put_meta("pause", kept)
        park = bool(self.rules.give_up_after) and attempts >= self.rules.give_up_after
        self._catalogue.move(
            row.id, "parked" if park else "archived", ["uploading"], attempts=attempts, next_at=now + pause, error=text
        )
        why = f"{row.remote}: {text}; "
        if park:
            self.parked += 1
            told(
                logging.ERROR, "parked", why + f"parked after {attempts} tries; `bourn record retry` takes it up again"
            )
        else:
            level = logging.ERROR if e.permanent else logging.WARNING
            told(level, "upload failed", why + f"next try in {pause / 1000:.1f} s", attempts=attempts)

    # -- what uploads may cost

    def _pace(self, count: int) -> None:
        """Wait until that many bytes may be sent."""
        if self._stop.is_set():
            raise Failure("stopped", alone=True)
        if not self.rules.bytes_per_s:
            return
        now = float(self._wall())
        # Never more than what the last piece has cost: a clock that is set back must not stop uploads.
        self._ready_at = min(self._ready_at, now + self._last_cost_ms)
        if self._ready_at > now:
            self._wait((self._ready_at - now) / 1000)
            now = max(now, self._ready_at)
        self._last_cost_ms = count * 1000 / self.rules.bytes_per_s
        self._ready_at = now + self._last_cost_ms

    def _affordable(self, row: Row, now: int) -> bool:
        rules = self.rules
        if not (rules.budget and rules.price_per_gb):
            return True
        after = (self._catalogue.sent(self._month(now)) + (row.packed_bytes or 0)) * rules.price_per_gb / GB
        over = after > rules.budget
        if over and not self.over_budget:
            told(logging.WARNING, "over budget", f"uploads pause until next month: {after:.2f} of {rules.budget:.2f}")
        self.over_budget = over
        return not over

    def _budget_at(self, now: int) -> int:
        """When the next month begins, while this one's budget is spent."""
        if not self.over_budget:
            return now
        moment = datetime.fromtimestamp(now / 1000, UTC)
        year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
        return int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)

    def _month(self, now: int) -> str:
        return datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m")

    # -- small parts

    def _pause(self) -> dict[str, Any]:
        """How long the store as a whole is left alone."""
        return self._catalogue.meta("pause") or {"failures": 0, "at": 0, "error": None, "permanent": False}

    def _bounded(self, at: int, now: int) -> int:
        return self.rules.backoff.bounded(at, now)

    def _remove(self, name: str) -> None:
        self._space.remove(f"{self._folder}/{name}")

    def _trouble(self, text: str, e: BaseException | None) -> None:
        self.failures += 1
        self.last_error = redact(f"{text}: {_text(e)}" if e else text)
        told(logging.ERROR, "recorder", self.last_error)


def _text(e: BaseException) -> str:
    return (e.strerror if isinstance(e, OSError) and e.strerror else str(e)) or type(e).__name__
