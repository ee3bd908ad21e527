"""The connection inside one process, for sensors in threads beside the hub: `queue:NAME`."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

from bourn import local_queue, wire
from bourn.hub.connections import Invitation, MakeLink

TURN_BYTES = local_queue.WAY_BYTES  # of one source before the others have their turn


class QueueTransport(asyncio.Transport):
    """The hub's end of one connection, in the event loop's thread."""

    def __init__(self, end: local_queue.End, name: str, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._end = end
        self._name = name
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._paused = False
        self._lost = False
        self._closing = False
        protocol.connection_made(self)
        end.into.ring = self._rung
        self._look()

    def _rung(self) -> None:
        """In any thread: something came, or the other side has ended."""
        if not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._look)
            except RuntimeError:  # the loop is closed: the hub is gone, and this was its last connection
                self._end.into.ended = self._end.out.ended = True
                self._end.out.ring()

    def _look(self) -> None:
        self._scheduled = False  # before taking: who comes later rings again
        if self._paused or self._lost:
            return
        ended = self._end.into.ended
        pieces = self._end.into.take()
        if pieces:
            self._protocol.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended:
            self._lose()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            self._end.into.end()
            self._end.out.end()
            self._protocol.connection_lost(None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing but a name for the peer."""
        return (self._name, "thread") if name == "peername" else default

    def is_closing(self) -> bool:
        """Whether it was closed, or the other side has gone."""
        return self._closing or self._lost

    def get_write_buffer_size(self) -> int:
        """Bytes that the sensor has not taken."""
        return self._end.out.size

    def write(self, data: Any) -> None:
        """Give it to the sensor; a link that finds too much unread closes."""
        if not self._end.out.ended:
            self._end.out.put_all(bytes(data))

    def can_write_eof(self) -> bool:
        """Yes."""
        return True

    def write_eof(self) -> None:
        """The sensor gets what was written, and then the end."""
        self._end.out.end()

    def pause_reading(self) -> None:
        """Take nothing more; what comes waits with its sender."""
        self._paused = True

    def resume_reading(self) -> None:
        """Go on."""
        self._paused = False
        self._loop.call_soon(self._look)

    def close(self) -> None:
        """The sensor still gets what was written."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lose)

    def abort(self) -> None:
        """End it now."""
        self.close()


class QueueListener:
    """A name that sensors' threads connect to."""

    def __init__(self, name: str, make_link: MakeLink) -> None:
        self._name = name
        self.url = f"queue:{name}"
        loop = asyncio.get_running_loop()

        def accept(end: local_queue.End) -> None:
            try:
                loop.call_soon_threadsafe(lambda: QueueTransport(end, self.url, make_link()))
            except RuntimeError as e:  # the loop is closed
                raise OSError(errno.ECONNREFUSED, "that hub has ended") from e

        local_queue.offer(name, accept)

    async def invite(self) -> Invitation:
        """The same name for everyone."""
        return Invitation(self.url)

    def close(self) -> None:
        """Let nobody new in."""
        local_queue.withdraw(self._name)


def check_free(url: str, insecure: bool) -> None:
    """ValueError when it is no name, OSError when a hub of this process has it."""
    if not wire.source_ok(url.partition(":")[2]):
        raise ValueError(f"a queue's URL looks like queue:hub (1 to 64 of A-Z a-z 0-9 _ . -), not {url!r}")
    if local_queue.offered(url.partition(":")[2]):
        raise OSError(errno.EADDRINUSE, "a hub of this process has that name already")


async def listen(url: str, make_link: MakeLink, insecure: bool) -> QueueListener:
    """Let threads of this process connect to `url`."""
    check_free(url, insecure)
    return QueueListener(url.partition(":")[2], make_link)
