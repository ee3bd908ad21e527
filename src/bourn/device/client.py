"""For a program of your own: hand readings to a hub from any thread, or from asyncio, a bounded number at a time.

    with Client("tcp://127.0.0.1:7007", "lab", outbox="lab.outbox") as client:
        client.send("t1", 21.5)              # waits while too much is unacknowledged
        client.try_send("t1", 21.6)          # False instead of waiting
        await client.asend("t1", 21.7)       # the same in asyncio

It is a Sender with a thread of its own. On a board, and where there is one thread only, use the Sender itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from typing import Any

from bourn._compat.folders import folder_lock, make_folder
from bourn.clock import Clock
from bourn.device.connections import open_connection
from bourn.device.framing import check_reading
from bourn.device.sender import FOREVER_MS, Sender
from bourn.local_queue import Bell
from bourn.spool.ram import RamSpool
from bourn.spool.segments import SegmentSpool

IN_FLIGHT = 1000  # readings that may be unacknowledged, unless the program says otherwise
RETRY_MS = 200  # after which an outbox whose disk failed is tried again
CLOSE_S = 5.0  # in which `close` sends what is still there


class ClientClosed(Exception):
    """The client was closed: this reading was not taken."""


class Client:
    """Takes readings of the source `source` and sends them to the hub at `url`; at most `in_flight` unacknowledged.

    With `outbox`, a folder, a reading is on disk when it was taken: it survives this program, and the next Client over
    that folder sends it. Without, it is in memory alone, until the hub has it. `sender` is passed on to the Sender.
    ValueError: a wrong URL or name. OSError: the folder cannot be used, or another program uses it.
    """

    def __init__(
        self,
        url: str,
        source: str,
        outbox: str | None = None,
        in_flight: int = IN_FLIGHT,
        outbox_bytes: int = 1 << 24,
        connect: Any = open_connection,
        **sender: Any,
    ) -> None:
        if in_flight < 1:
            raise ValueError(f"at least 1 reading must be allowed in flight, not {in_flight}")
        self.in_flight = in_flight
        self._clock = Clock()
        self._spool: Any = RamSpool(in_flight, "block")
        self._folder_lock: Any = None
        if outbox is not None:
            make_folder(outbox)
            self._folder_lock = folder_lock(outbox)
            self._spool = SegmentSpool(outbox, max_bytes=outbox_bytes, policy="block", sync_each=False)
        self._durable = outbox is not None
        self.sender = Sender(url, source, self._spool, self._clock, connect, **sender)
        # All below is guarded by the lock. A reading is in one of: _asking (no room yet), _taken (room, not in the
        # outbox yet), the outbox. `_held` counts the last two: what the hub has not acknowledged.
        self._lock = threading.Condition()
        self._asking: deque[tuple[tuple[str, int, Any], Future[None]]] = deque()
        self._taken: deque[tuple[tuple[str, int, Any], Future[None]]] = deque()
        self._stored: list[tuple[tuple[str, int, Any], Future[None]]] = []  # in the outbox, but not on disk
        self._held = self._spool.waiting()
        self._closing = False
        self._drain_ms = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._bell = Bell()
        self.sender.poller.register(self._bell, 1)  # POLLIN
        self._thread = threading.Thread(target=self._run, name=f"bourn-{source}", daemon=True)
        self._thread.start()

    # -- giving it readings

    def send(self, sensor: str, val: Any, ts: int | None = None, timeout: float | None = None) -> None:
        """Take one reading, waiting while `in_flight` are unacknowledged; in their order, whoever waits.

        `ts` is ms since 1970 (now). With an outbox on disk it is there when this returns; while the disk fails this
        waits. ValueError: no hub could store it. TimeoutError: there was no room within `timeout` seconds, and it was
        not taken. ClientClosed, also where the connection has ended and cannot be opened again (a pipe).
        """
        future = self._ask(sensor, val, ts)
        try:
            future.result(timeout)
        except TimeoutError:
            if future.cancel():
                raise TimeoutError("the hub has not acknowledged enough to take one more reading") from None
            future.result()  # it is being taken already

    async def asend(self, sensor: str, val: Any, ts: int | None = None) -> None:
        """As `send`, for asyncio: other tasks run meanwhile. A task that is cancelled while it waits for room has not
        sent it; one that is cancelled while it is being stored has.
        """
        await asyncio.wrap_future(self._ask(sensor, val, ts))

    def try_send(self, sensor: str, val: Any, ts: int | None = None) -> bool:
        """As `send`, but never waits for the hub: False, and nothing is taken, when `in_flight` are unacknowledged."""
        future = self._ask(sensor, val, ts, False)
        if future is None:
            return False
        future.result()
        return True

    def unacknowledged(self) -> int:
        """How many readings were taken and are not on the hub's disk, as far as is known here."""
        with self._lock:
            return self._held

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the hub has everything that was taken; False when it has not within `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: not (self._held or self._asking) or not self._alive(), timeout) and (
                not self._held
            )

    async def aflush(self) -> bool:
        """As `flush`, for asyncio."""
        return await asyncio.get_running_loop().run_in_executor(None, self.flush)

    def close(self, timeout: float = CLOSE_S) -> int:
        """Send what there is for `timeout` seconds at most and end; how many readings the hub has not acknowledged.

        Those are in the outbox for the next time, or lost where there is none. Who still waits in `send` gets
        ClientClosed.
        """
        with self._lock:
            if not self._closing:
                self._closing = True
                self._refuse_asking("the client was closed while this waited")
                self._drain_ms = int(timeout * 1000)
        self._bell.ring()
        self._thread.join(timeout + CLOSE_S)
        return self.unacknowledged()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _ask(self, sensor: str, val: Any, ts: int | None, may_wait: bool = True) -> Any:
        """A future that is done when the reading is taken; None when it had to wait and may not."""
        reading = (sensor, self._clock.wall() if ts is None else ts, val)
        check_reading(*reading)
        future: Future[None] = Future()
        with self._lock:
            if self._closing or not self._alive():
                raise ClientClosed(str(self._failure or "the client is closed"))
            if self._held < self.in_flight and not self._asking:
                self._take(reading, future)
            elif may_wait:
                self._asking.append((reading, future))
                future.add_done_callback(self._withdraw)
            else:
                return None
        return future

    def _withdraw(self, future: Future[None]) -> None:
        """Who asked waits no more: nothing of it stays here, however long the hub is away."""
        if future.cancelled():
            with self._lock:
                self._asking = deque(one for one in self._asking if one[1] is not future)

    def _refuse_asking(self, why: str) -> None:
        asking, self._asking = self._asking, deque()
        for _, future in asking:
            if future.set_running_or_notify_cancel():  # else it was withdrawn in this moment
                future.set_exception(ClientClosed(why))

    def _take(self, reading: tuple[str, int, Any], future: Future[None]) -> None:
        """There is room for it."""
        if future.set_running_or_notify_cancel():
            self._held += 1
            self._taken.append((reading, future))
            if not self._durable:
                future.set_result(None)
            if len(self._taken) == 1:
                self._bell.ring()

    def _alive(self) -> bool:
        return self._failure is None and not self._ended

    # -- the thread

    def _run(self) -> None:
        try:
            while not self._closing and self.sender.state != "ended":
                self.sender.wait(self._store())
                self._bell.clear()
                self._release()
            self.sender.poller.unregister(self._bell)
            self._store()
            self.sender.drain(self._drain_ms)
            if self.sender.state == "ended":  # nobody will ever acknowledge anything
                self._failure = OSError(self.sender.last_error)
        except BaseException as e:  # the edge of the thread: everyone who asks is told
            self._failure = e
        self._release()
        with self._lock:
            self._ended = True
            why = str(self._failure or "the client is closed")
            self._refuse_asking(why)
            for _, future in (*self._taken, *self._stored):
                if not future.done():
                    future.set_exception(ClientClosed(why))
            self._lock.notify_all()
        self._bell.close()
        try:
            self.sender.close()
        except OSError as e:  # the disk; what was taken before is there
            self.sender.last_error = f"outbox: {e}"
        finally:
            if self._folder_lock is not None:
                self._folder_lock.close()

    def _store(self) -> int:
        """Put what was taken into the outbox, all of it with one sync; in how many ms to try again, if that failed."""
        with self._lock:
            taken = list(self._taken)
        failure: OSError | None = None
        for reading, future in taken:
            refused: ValueError | None = None
            try:
                if self._spool.append(reading) is None:
                    break  # the outbox is full of what is unacknowledged: there is room when the hub has some of it
            except ValueError as e:
                refused = e
            except OSError as e:
                failure = e
                break
            with self._lock:
                self._taken.popleft()
            if refused is None:
                self._stored.append((reading, future))
            elif not future.done():
                future.set_exception(refused)
        if self._stored:
            try:
                self._spool.sync()
            except OSError as e:
                failure = e
            else:
                for _, future in self._stored:
                    if not future.done():
                        future.set_result(None)
                self._stored.clear()
        if failure is not None:
            self.sender.last_error = f"outbox: {failure}"
        return FOREVER_MS if failure is None else RETRY_MS

    def _release(self) -> None:
        """Let in who waits, as far as the hub has acknowledged."""
        with self._lock:
            self._held = self._spool.waiting() + len(self._taken)
            while self._asking and self._held < self.in_flight:
                self._take(*self._asking.popleft())
            self._lock.notify_all()
