"""Things that block, each in a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from bourn.thingflow.things import method_name

QUEUE_EVENTS = 10_000  # waiting for one blocking input thing; when that many wait, the loop waits too: none is dropped


class BlockingInputThing:
    """An input thing that may block: `_on_next(port, x)`, `_on_completed(port)`, `_on_error(port, e)` run in a thread.

    `_close()` is called there once, after the last port's terminal event, `request_stop()`, or an exception.
    """

    def __init__(self, scheduler, ports=None):
        self.ports = list(ports or ["default"])
        self.num_closed_ports = 0
        for port in self.ports:
            self._make_port(port)
        self.__queue__: queue.Queue[Any] = queue.Queue(QUEUE_EVENTS)
        self.scheduler = scheduler
        self.thread: threading.Thread | None = threading.Thread(target=self._run)
        scheduler.active_schedules[self] = self.request_stop
        scheduler.event_loop.call_soon(self.thread.start)

    def _make_port(self, port):
        def put(method, last, *args):
            if self.thread is not None:  # nobody takes anything any more
                self.__queue__.put((method, last, (port, *args)))

        setattr(self, method_name("next", port), lambda x: put(self._on_next, False, x))
        setattr(self, method_name("completed", port), lambda: put(self._on_completed, True))
        setattr(self, method_name("error", port), lambda e: put(self._on_error, True, e))

    def request_stop(self):
        """End the thread after what is waiting now; it cannot be started again."""
        if self.thread is not None:
            self.__queue__.put(None)

    def _run(self):
        error = None
        try:
            while self._wait_and_dispatch():
                pass
        except Exception as e:
            error = e
        self.thread = None
        try:
            self._close()
        except Exception as e:
            error = error or e
        self.scheduler._ended_in_thread(self, error, "_wait_and_dispatch")

    def _wait_and_dispatch(self):
        action = self.__queue__.get()
        if action is None:
            return False
        method, last, args = action
        method(*args)
        self.num_closed_ports += last
        return self.num_closed_ports < len(self.ports)

    def _on_next(self, port, x):
        """Process an event."""

    def _on_completed(self, port):
        """The stream of this port has ended."""

    def _on_error(self, port, e):
        """The stream of this port has ended with `e`."""

    def _close(self):
        """Release what is held."""


class ThreadForBlockingOutputThing(threading.Thread):
    """Observes a thing every `interval` seconds, on a grid that does not drift, until it has no connections."""

    def __init__(self, output_thing, interval, scheduler):
        super().__init__()
        self.output_thing = output_thing
        self.interval = interval
        self.scheduler = scheduler
        self._stopping = threading.Event()

    def _stop_loop(self):
        self._stopping.set()

    def run(self):
        """Observe, and carry what is dispatched to the scheduler's loop."""
        thing = self.output_thing
        thing._schedule(enqueue_fn=self.scheduler.event_loop.call_soon_threadsafe)
        error = None
        try:
            start = time.monotonic()
            while not self._stopping.is_set():
                thing._observe()
                if not thing._has_connections():
                    break
                # The next multiple of the interval: a slow sample skips periods, and never bunches them.
                passed = time.monotonic() - start
                self._stopping.wait(self.interval - passed % self.interval if self.interval > 0 else 0)
        except Exception as e:
            error = e
        self.scheduler._ended_in_thread(thing, error, "_observe")
