"""Keeps the catalogue true, the disk within its bound, and says when the uploader is to work."""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from bourn.hub.log import told
from bourn.hub.recorder.adoption import adopt, files_of
from bourn.hub.recorder.catalogue import Catalogue, Row
from bourn.hub.recorder.recorder import Gap, Opened, Recorder, Sealed
from bourn.hub.recorder.space import Space, free_bytes
from bourn.hub.recorder.uploader import Uploader

HAND_OVER = 64  # things the recorder has told and the catalogue has not heard of; beyond it the folder tells
POLICIES = ("stop_recording", "drop_oldest", "thin")
LOOK_S = 10.0  # how often free space is looked at, where somebody asked for that
RETRY_S = 1.0  # after the catalogue refused
FORGET_EVERY = 1000  # files
THINNINGS = 6  # n, n^2, ... n^6: then thinning is dropping the oldest


class Triggers(NamedTuple):
    """When the uploader gets a task; 0 = off. Any of them is enough."""

    files: int = 1  # sealed and not archived yet
    bytes: int = 0  # of all files
    age_s: float = 0  # of the oldest sealed one
    every_s: float = 0  # on a grid since 1970: 3600 is every full hour
    free_bytes: int = 0  # less than that is left on the file system


class Limits(NamedTuple):
    """What the disk may hold, and what happens then."""

    policy: str = "drop_oldest"
    thin: int = 2  # of n files one is kept
    headroom: int = 0  # bytes the recorder is to have: two files


class Keeper:
    """`tell` takes what the recorder says, and never waits; `step()` does the work, in a thread after `start()`.

    What cannot be handed over, because the queue is full or the catalogue refuses, is found in the folder by the next
    step: nothing depends on the hand-over but the delay.
    """

    def __init__(
        self,
        folder: str,
        catalogue: Catalogue,
        space: Space,
        uploader: Uploader,
        triggers: Triggers | None = None,
        limits: Limits | None = None,
        wall: Callable[[], int] | None = None,
    ) -> None:
        from bourn.clock import Clock

        self.recorder: Recorder | None = None
        self.overflows = 0  # hand-overs that found the queue full
        self.dropped = 0  # files, by the policy
        self.refusals = 0  # times that the catalogue refused
        self.last_error: str | None = None
        self._folder = folder
        self._catalogue = catalogue
        self._space = space
        self._uploader = uploader
        self._triggers = triggers or Triggers()
        self._limits = limits or Limits()
        self._wall = wall or Clock().wall
        self._told: queue.Queue[Any] = queue.Queue(maxsize=HAND_OVER)
        self._unheard: list[Any] = []  # taken from the queue, and not in the catalogue yet; at most HAND_OVER
        self._late: deque[Gap] = deque(maxlen=HAND_OVER)  # beyond it the hole in the numbers tells, without a reason
        self._rescan = False
        self._sealed = 0
        self._stop = threading.Event()
        self._scheduled = self._slot()
        self._thread = threading.Thread(target=self._run, name="bourn-keeper", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End after all that was told is in the catalogue, if that does not take longer."""
        self._stop.set()
        self.tell(None)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def tell(self, what: Any) -> None:
        """Hand over an Opened, Sealed or Gap (None: look). Never waits, never raises."""
        try:
            self._told.put_nowait(what)
        except queue.Full:
            if what is not None:
                self.overflows += 1
                self._rescan = True
            if isinstance(what, Gap):  # no folder tells of it
                self._late.append(what)

    def _run(self) -> None:
        while True:
            try:
                if len(self._unheard) < HAND_OVER:
                    self._unheard.append(self._told.get(timeout=self._wait_s()))
                else:  # the catalogue refuses for long: what comes now finds the queue full
                    self._stop.wait(RETRY_S)
            except queue.Empty:
                self._wall()  # something is due by itself
            except Exception as e:
                self._refused(e)
                self._stop.wait(RETRY_S)
            try:
                self.step()
            except Exception as e:  # at the edge of the thread: told, counted, and tried again
                self._refused(e)
                self._stop.wait(RETRY_S)
            if self._stop.is_set() and self._told.empty():
                return

    def step(self) -> None:
        """Hear what was told, make room, and look whether the uploader is to work. sqlite3.Error, OSError."""
        now = self._wall()
        try:
            self._hear(now)
        except sqlite3.Error as e:  # a full disk, too: then room is made first
            self._refused(e)
        self.make_room(now)
        self._hear(now)
        if self._rescan:
            self._rescan = False
            recorder = self.recorder
            adopt(self._folder, self._catalogue, now, (lambda: recorder.writing) if recorder else None)
            self._count()
        if self._called(now):
            self._uploader.trigger()
        self._catalogue.put_meta("live", self.live(now))

    def _hear(self, now: int) -> None:
        while len(self._unheard) < HAND_OVER:
            try:
                self._unheard.append(self._told.get_nowait())
            except queue.Empty:
                break
        while self._late:
            self._catalogue.gap(self._late[0])
            self._late.popleft()
        while self._unheard:
            what = self._unheard[0]
            if isinstance(what, Opened):
                self._catalogue.opened(what.file)
            elif isinstance(what, Sealed):
                self._catalogue.sealed(what.file, what.bytes, what.sha256, now)
                self._sealed += 1
                if self._sealed % FORGET_EVERY == 0:
                    self._catalogue.forget()
            elif isinstance(what, Gap):
                self._catalogue.gap(what)
            del self._unheard[0]

    def _count(self) -> None:
        """Look how much there is: what others removed or added is in it, too."""
        used = sum(size for _, size in files_of(self._folder))
        self._space.add(used - self._space.used)

    # -- the bound of the disk

    def make_room(self, now: int) -> None:
        """Give the recorder its headroom: what is verified goes first, then what the policy says, each counted."""
        need = self._space.beyond(self._limits.headroom)
        if not need:
            return
        self._count()
        for row in self._catalogue.rows("state = 'verified'"):
            self._remove(row)
            self._catalogue.move(row.id, "deleted", ["verified"], done_at=now)
        for row in self._victims() if self._space.beyond(self._limits.headroom) else ():
            if not self._space.beyond(self._limits.headroom):
                return
            self._drop(row, now)

    def _victims(self) -> list[Row]:
        """In the order in which they are dropped."""
        if self._limits.policy == "stop_recording":
            return []
        rows = self._catalogue.rows("state IN ('sealed', 'archived', 'parked', 'damaged')")
        if self._limits.policy == "drop_oldest":
            return rows
        order, n = [], max(2, self._limits.thin)
        for power in range(1, THINNINGS + 1):  # the finest first: what stays is evenly spread
            order += [row for row in rows if row.id % n**power]
            rows = [row for row in rows if not row.id % n**power]
        return order + rows

    def _drop(self, row: Row, now: int) -> None:
        why = {"done_at": now, "reason": self._limits.policy}
        of = ["sealed", "archived", "parked", "damaged"]
        try:
            if not self._catalogue.move(row.id, "dropped", of, **why):
                return  # the uploader has taken it
            self._remove(row)
        except sqlite3.OperationalError as e:
            if "full" not in str(e):
                raise
            self._refused(e)
            self._remove(row)  # there is not even room to say so: the file first, and then its row
            self._catalogue.move(row.id, "dropped", of, **why)
        self.dropped += 1
        told(logging.WARNING, "dropped", f"{row.here} is dropped ({self._limits.policy}): the disk's bound is reached")

    def _remove(self, row: Row) -> None:
        for name in {row.file.sealed, row.archive}:
            self._space.remove(f"{self._folder}/{name}")

    # -- triggers

    def _called(self, now: int) -> bool:
        triggers = self._triggers
        slot, self._scheduled = self._scheduled, self._slot()
        if slot != self._scheduled:
            return True
        sealed = self._catalogue.rows("state = 'sealed'", limit=max(1, triggers.files))
        if not sealed:
            return False
        return bool(
            (triggers.files and len(sealed) >= triggers.files)
            or (triggers.bytes and self._space.used >= triggers.bytes)
            or (triggers.age_s and now - sealed[0].at >= triggers.age_s * 1000)
            or (triggers.free_bytes and free_bytes(self._folder) < triggers.free_bytes)
        )

    def _slot(self) -> int:
        every_ms = int(self._triggers.every_s * 1000)
        return self._wall() // every_ms if every_ms else 0

    def _wait_s(self) -> float:
        """Until something is due that nobody tells."""
        now, waits = self._wall(), [3600.0]
        every_ms = int(self._triggers.every_s * 1000)
        if every_ms:
            waits.append((every_ms - now % every_ms) / 1000)
        if self._triggers.age_s:
            for row in self._catalogue.rows("state = 'sealed'", limit=1):
                waits.append(row.at / 1000 + self._triggers.age_s - now / 1000)
        if self._triggers.free_bytes:
            waits.append(LOOK_S)
        if self._unheard or self._rescan or self._space.beyond(self._limits.headroom):
            waits.append(RETRY_S)
        return max(0.01, min(waits))

    def live(self, now: int) -> dict[str, Any]:
        """What is only known while it runs; kept for `bourn record status`."""
        recorder, uploader = self.recorder, self._uploader
        return {
            "at": now,
            "pid": os.getpid(),
            "used": self._space.used,
            "limit": self._space.limit,
            "recorded": recorder.recorded if recorder else 0,
            "lost": recorder.lost if recorder else 0,
            "losing": recorder.losing if recorder else None,
            "refusals": recorder.refusals if recorder else 0,
            "hand_over_full": self.overflows,
            "catalogue_refusals": self.refusals,
            "dropped": self.dropped,
            "passes": uploader.passes,
            "upload_failures": uploader.failures,
            "uploaded": uploader.uploaded,
            "uploaded_bytes": uploader.uploaded_bytes,
            "over_budget": uploader.over_budget,
            "progress": uploader.progress,
            "error": (recorder.last_error if recorder else None) or self.last_error or uploader.last_error,
        }

    def _refused(self, e: Exception) -> None:
        self.refusals += 1
        self.last_error = f"{type(e).__name__}: {e}"
        told(logging.ERROR, "catalogue", f"the catalogue refuses: {self.last_error}")
