"""A network in memory between real senders and real links: it delivers, delays, cuts and goes silent as a seed says.

A sender gets a socket and a poller of the shapes it uses, a link an asyncio transport. No call here waits for anything.
"""

import asyncio
import errno
import heapq
import select
from collections.abc import Callable
from itertools import count
from typing import Any

from bourn.hub.link import Link
from bourn.testing import ManualClock

WINDOW = 16_384  # bytes that one direction holds before the writer has to wait

_numbers = count(1000)


class Timers:
    """What a link asks of its event loop."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], Any]]] = []
        self._order = count()

    def call_later(self, delay_s: float, function: Callable[[], Any]) -> None:
        heapq.heappush(self._due, (self._clock.now() + delay_s * 1000, next(self._order), function))

    def run(self) -> None:
        """Call what is due by now."""
        while self._due and self._due[0][0] <= self._clock.now():
            heapq.heappop(self._due)[2]()


class Pipe:
    """One connection. Bytes on their way can be lost only together with the connection, as in TCP."""

    def __init__(self, link: Link) -> None:
        self.up = bytearray()  # from the sender, not delivered
        self.down = bytearray()
        self.end = End(self)
        self.link = link
        self.transport = Transport(self)
        self.hub_open = True  # the hub's end still gets what is delivered
        self.hub_says_end = False  # after `down`
        self.silent = False  # nothing is delivered any more, and nobody is told

    def deliver_up(self, n: int) -> None:
        """Let `n` bytes reach the hub."""
        data = bytes(self.up[:n])
        del self.up[:n]
        if self.hub_open and data:
            self.link.data_received(data)

    def deliver_down(self, n: int) -> None:
        """Let `n` bytes reach the sender, and the end of the stream after the last."""
        self.end.incoming += self.down[:n]
        del self.down[:n]
        if not self.down and self.hub_says_end:
            self.end.ended = True

    def sender_closes(self) -> None:
        """The sender's process closed it or is gone; the hub hears of it after what is under way."""
        self.end.closed = True
        if not self.silent:
            self.deliver_up(len(self.up))
            self.hub_hears_end()

    def hub_hears_end(self) -> None:
        """The hub's end is told that the connection is over."""
        if self.hub_open:
            self.hub_open = False
            self.link.connection_lost(None)

    def hub_goes(self, told: bool) -> None:
        """The hub's end is gone with all that was under way; the sender is told by a reset, or not at all."""
        self.hub_open = False
        self.up.clear()
        self.down.clear()
        if told and not self.silent:
            self.end.reset = True
        else:
            self.silent = True

    def cut(self, hub_told: bool, sender_told: bool) -> None:
        """The line is cut: what is under way is lost."""
        self.up.clear()
        self.down.clear()
        if sender_told:
            self.end.reset = True
        self.silent = True
        if hub_told:
            self.hub_hears_end()

    @property
    def gone(self) -> bool:
        """Both ends know."""
        return self.end.closed and not self.hub_open


class End:
    """The sender's end: a socket that never blocks."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.number = next(_numbers)
        self.incoming = bytearray()
        self.ended = self.reset = self.closed = False

    def fileno(self) -> int:
        return self.number

    def send(self, data: bytes) -> int:
        if self.reset:
            raise OSError(errno.ECONNRESET, "reset")
        room = WINDOW - len(self.pipe.up)
        if room <= 0:
            raise OSError(errno.EAGAIN, "full")
        if not self.pipe.silent:
            self.pipe.up += data[:room]
        return min(room, len(data))

    def recv(self, n: int) -> bytes:
        if self.incoming:
            data = bytes(self.incoming[:n])
            del self.incoming[:n]
            return data
        if self.reset:
            raise OSError(errno.ECONNRESET, "reset")
        if self.ended:
            return b""
        raise OSError(errno.EAGAIN, "nothing")

    def close(self) -> None:
        if not self.closed:
            self.pipe.sender_closes()

    def events(self, wanted: int) -> int:
        """What poll would say."""
        ready = 0
        if self.incoming or self.ended or self.reset:
            ready |= select.POLLIN
        if len(self.pipe.up) < WINDOW:
            ready |= select.POLLOUT
        return (ready & wanted) | (select.POLLHUP if self.reset else 0)


class Poller:
    """What a sender polls with; it never waits, the simulation's clock does."""

    def __init__(self) -> None:
        self._watched: dict[End, int] = {}

    def register(self, end: End, events: int) -> None:
        self._watched[end] = events

    modify = register

    def unregister(self, end: End) -> None:
        del self._watched[end]

    def poll(self, ms: int) -> list[tuple[int, int]]:
        return [(end.number, ready) for end, events in self._watched.items() if (ready := end.events(events))]


class Transport(asyncio.Transport):
    """The hub's end."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self._pipe = pipe

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("simulation", self._pipe.end.number) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return len(self._pipe.down)

    def write(self, data: Any) -> None:
        if not self._pipe.silent:
            self._pipe.down += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._pipe.hub_says_end = True

    def pause_reading(self) -> None:
        pass

    def close(self) -> None:
        self._pipe.hub_says_end = True
        self._pipe.hub_hears_end()

    def abort(self) -> None:
        if self._pipe.hub_open:
            self._pipe.hub_hears_end()
            self._pipe.hub_goes(told=True)
