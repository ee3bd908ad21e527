"""A sink whose events a thread writes in batches, for databases: the flow never waits for the network.

State of an event: waiting in the queue → in the batch that is being written → written, or rejected. A batch that could
not be written because of trouble on the way (any exception but Rejected) stays and is tried again after a pause that
doubles up to its limit. A batch that is refused for what it says (Rejected) is halved until the events to blame are
alone; these are counted and left out, so that one of them cannot block the others for ever.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

QUEUE_EVENTS = 10_000  # waiting; more are dropped by the policy
BATCH_EVENTS = 500  # written at once
PAUSES_S = (0.5, 30.0)  # before the second try, and at most
CLOSE_S = 10.0  # how long the end of a stream waits for what is left

POLICIES = ("drop_oldest", "drop_newest", "block")


class Rejected(Exception):
    """The receiver will never take these events; the text is its reason."""


class BatchWriter:
    """Gives events to `write(list)` in a thread of its own, in order.

    Counters: `written`, `dropped` (the queue was full, or the end came while nothing could be written), `rejected`,
    `failures` (of tries); `last_error` is the latest exception. `policy` says what to do when `queue_events` wait:
    "drop_oldest", "drop_newest", or "block", which makes the flow wait.
    """

    def __init__(
        self,
        write: Callable[[list[Any]], None],
        release: Callable[[], None] = lambda: None,
        queue_events: int = QUEUE_EVENTS,
        batch_events: int = BATCH_EVENTS,
        policy: str = "drop_oldest",
        pauses_s: tuple[float, float] = PAUSES_S,
        close_s: float = CLOSE_S,
    ) -> None:
        if policy not in POLICIES:
            raise ValueError(f"policy: one of {', '.join(POLICIES)}, not {policy!r}")
        if queue_events < 1 or batch_events < 1:
            raise ValueError(f"queue_events and batch_events must be at least 1, not {queue_events}, {batch_events}")
        self.written = self.dropped = self.rejected = self.failures = 0
        self.last_error: Exception | None = None
        self._write = write
        self._release = release
        self._queue_events = queue_events
        self._batch_events = batch_events
        self._policy = policy
        self._pauses_s = pauses_s
        self._close_s = close_s
        self._changed = threading.Condition()  # guards all below, and the counters
        self._queue: deque[Any] = deque()
        self._closing = False  # no more events; the thread ends when the queue is empty
        self._abandoned = False  # the end has waited long enough: the thread ends without another try
        self._thread: threading.Thread | None = None

    def on_next(self, x: Any) -> None:
        """Put `x` into the queue; the policy rules when it is full."""
        with self._changed:
            if self._policy == "block":
                self._changed.wait_for(lambda: len(self._queue) < self._queue_events or self._closing)
            if self._closing or (len(self._queue) >= self._queue_events and self._policy == "drop_newest"):
                self.dropped += 1
                return
            if len(self._queue) >= self._queue_events:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(x)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"bourn {self._write.__qualname__}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def on_completed(self) -> None:
        """Write what is left and release everything; after `close_s` without success, drop and count it."""
        self.close()

    def on_error(self, e: Exception) -> None:
        """As on_completed: the error is its source's, the events before it are good."""
        self.close()

    def close(self) -> None:
        """As on_completed; may be called more than once."""
        with self._changed:
            first, self._closing = not self._closing, True
            self._changed.notify_all()
        if not first:
            return
        if self._thread is None:
            self._release()
            return
        self._thread.join(self._close_s)
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    # -- in the thread

    def _run(self) -> None:
        pause = self._pauses_s[0]
        batch: list[Any] = []
        while batch or self._next(batch):
            try:
                self._write_or_halve(batch)
                pause = self._pauses_s[0]
            except Exception as e:
                with self._changed:
                    self.failures += 1
                    self.last_error = e
                    self._changed.wait_for(lambda: self._abandoned, pause)
                pause = min(2 * pause, self._pauses_s[1])
            if self._abandoned:
                break
        with self._changed:
            self.dropped += len(batch) + len(self._queue)
            self._queue.clear()
        try:
            self._release()
        except Exception as e:
            self.last_error = e

    def _next(self, batch: list[Any]) -> bool:
        """Fill `batch` with what waits; False when nothing will come any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            while self._queue and len(batch) < self._batch_events:
                batch.append(self._queue.popleft())
            self._changed.notify_all()
        return bool(batch)

    def _write_or_halve(self, batch: list[Any]) -> None:
        """Write all of `batch`, in order, and take from it what is done."""
        size = len(batch)
        while batch:
            part = batch[:size]
            try:
                self._write(part)
            except Rejected as e:
                if size > 1:
                    size //= 2
                    continue
                with self._changed:
                    self.rejected += 1
                    self.last_error = e
            else:
                with self._changed:
                    self.written += len(part)
                    self._changed.notify_all()
            del batch[: len(part)]
