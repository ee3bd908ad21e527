"""The hub's side of bourn.testing.network: an asyncio transport for a real link, and the timers that it asks for."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

from bourn.hub.link import Link
from bourn.testing import ManualClock
from bourn.testing.network import End


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


class Transport(asyncio.Transport):
    """Between the far end of a connection and a link."""

    def __init__(self, end: End, link: Link) -> None:
        super().__init__()
        self.end = end
        self.link = link
        self.is_open = True  # the link still gets what arrives
        link.connection_made(self)

    @property
    def gone(self) -> bool:
        """Both ends know."""
        return self.end.connection.near.is_closed and not self.is_open

    def receive(self, n: int) -> None:
        """Let `n` bytes reach the hub, and give the link what has come."""
        self.end.connection.up.deliver(n)
        while self.is_open and self.end.has_something():
            try:
                data = self.end.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if data:
                self.link.data_received(data)
            else:
                self.lose()

    def lose(self) -> None:
        """The link hears that the connection is over."""
        if self.is_open:
            self.is_open = False
            self.end.close()
            self.link.connection_lost(None)

    def vanish(self, told: bool) -> None:
        """The hub's process is gone with all that was under way; the sender is told by a reset, or not at all."""
        self.is_open = False
        self.end.connection.cut(near_told=told, far_told=False)
        self.end.close()

    # -- what a link calls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("simulation", self.end.fileno()) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return self.end.line.waiting()

    def write(self, data: Any) -> None:
        if not self.end.is_reset:  # it hears of that when it is its turn to receive
            assert self.end.send(data) == len(data), "a hub says little: it has no reason to wait for room"

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.end.shutdown()

    def pause_reading(self) -> None:
        pass

    def close(self) -> None:
        self.lose()

    def abort(self) -> None:
        if self.is_open:
            self.lose()
            self.end.connection.cut(near_told=True, far_told=False)
