"""The connection through shared memory, for processes of this user on this machine: `shm:PATH`.

PATH is a unix socket (as of `unix:`): through it each sensor gets the descriptor of its own memory, and then it is
the doorbell. `bourn.shared_ring` says how the two go together.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from typing import Any

from bourn.hub.connections import MakeLink
from bourn.hub.connections.tcp import ACCEPTS, lengthen_queue
from bourn.hub.connections.unix import UnixListener, bind, check_free, path_of
from bourn.hub.descriptors import is_scarce
from bourn.hub.log import told
from bourn.shared_ring import UP_BYTES, SharedRing, make_memory

__all__ = ["check_free", "listen"]

PIECE_BYTES = UP_BYTES // 8  # taken out of the ring at once


class SharedMemoryTransport(asyncio.Transport):
    """The hub's end of one sensor's memory."""

    def __init__(self, ring: SharedRing, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._ring = ring
        self._protocol: Any = protocol  # takes views, too
        self._loop = asyncio.get_running_loop()
        self._rest = bytearray()  # what the ring had no room for; the link bounds it
        self._eof = False  # after `_rest`
        self._closing = False
        self._lost = False
        self._writer = False
        self._paused = False
        protocol.connection_made(self)  # which may turn it away, or let it wait
        if not self._paused:
            self.resume_reading()

    def _rung(self) -> None:
        """The sensor wrote something, made room, or is gone."""
        ring = self._ring
        try:
            for piece in ring.pieces():
                with piece:  # bit by bit: the sensor writes on while the rest is decoded
                    for at in range(0, len(piece), PIECE_BYTES):
                        bit = piece[at : at + PIECE_BYTES]
                        self._protocol.data_received(bit)
                        ring.free([bit])
        except OSError as e:
            self._lose(e)
            return
        self._flush()
        if ring.ended:
            self._lose(None)

    def _flush(self) -> None:
        """Write what there is room for now, and ring."""
        if self._lost:
            return
        try:
            while self._rest:
                del self._rest[: self._ring.send(self._rest)]
        except BlockingIOError:
            pass  # the sensor rings when it has made room
        self._ring.ring()
        self._watch(self._ring.untold())
        if not self._rest and self._eof:
            self._eof = False
            try:
                self._ring.socket.shutdown(socket.SHUT_WR)
            except OSError as e:  # it has gone
                self._lose(e)
        if not self._rest and self._closing:
            self._lose(None)

    def _watch(self, wanted: bool) -> None:
        """The socket was full: ring again when it is not."""
        if wanted != self._writer:
            self._writer = wanted
            if wanted:
                self._loop.add_writer(self._ring.socket, self._flush)
            else:
                self._loop.remove_writer(self._ring.socket)

    def _lose(self, why: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._loop.remove_reader(self._ring.socket)
        self._watch(False)
        self._loop.call_soon(self._end, why)

    def _end(self, why: Exception | None) -> None:
        self._protocol.connection_lost(why)
        self._ring.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing: a unix socket has no name of its peer."""
        return default

    def is_closing(self) -> bool:
        """Whether it was closed, or the other side has gone."""
        return self._closing or self._lost

    def get_write_buffer_size(self) -> int:
        """Bytes that the sensor has not taken."""
        return len(self._rest) + self._ring.waiting

    def write(self, data: Any) -> None:
        """Give it to the sensor; a link that finds too much unread closes."""
        if not self._lost and not self._closing:
            self._rest += data
            self._flush()

    def can_write_eof(self) -> bool:
        """Yes."""
        return True

    def write_eof(self) -> None:
        """The sensor gets what was written, and then the end."""
        self._eof = True
        self._flush()

    def pause_reading(self) -> None:
        """Take nothing more."""
        self._paused = True
        self._loop.remove_reader(self._ring.socket)

    def resume_reading(self) -> None:
        """Go on."""
        self._paused = False
        if not self._lost:
            self._loop.add_reader(self._ring.socket, self._rung)

    def close(self) -> None:
        """The sensor still gets what was written, if it is there already or there is room."""
        if not self._closing and not self._lost:
            self._closing = True
            if not self._rest:
                self._lose(None)

    def abort(self) -> None:
        """End it now."""
        self._rest.clear()
        self._lose(None)


class _Door(asyncio.Protocol):
    """A sensor that has connected to the socket: it gets its memory, and the transport changes."""

    def __init__(self, make_link: MakeLink) -> None:
        self._make_link = make_link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came. Where there are no descriptors or no memory for it, it is sent away, and comes again."""
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        try:
            ring = _make_ring(transport.get_extra_info("socket"))
        except OSError as e:
            text = f"a sensor that came for shared memory was sent away: {e.strerror or e}"
            told(logging.WARNING, "refused", text, code="full")
            return
        finally:
            transport.abort()
        SharedMemoryTransport(ring, self._make_link())


def _make_ring(said: Any) -> SharedRing:
    """Memory that is shared with the sensor at the other end of that socket. OSError."""
    sock = socket.socket(fileno=os.dup(said.fileno()))
    sock.setblocking(False)
    try:
        if is_scarce(sock.fileno()):  # such a link takes two, and is counted as one
            raise OSError(errno.EMFILE, "too few file descriptors are left")
        fd, geometry = make_memory()
        try:
            socket.send_fds(sock, [geometry], [fd])
            _, up, down = (int.from_bytes(geometry[i : i + 4], "big") for i in (0, 4, 8))
            return SharedRing(sock, os.dup(fd), (up, down), (0, up))
        finally:
            os.close(fd)
    except OSError:
        sock.close()
        raise


async def listen(url: str, make_link: MakeLink, insecure: bool) -> UnixListener:
    """Listen at `url`; every sensor gets memory and a link."""
    path = path_of(url)
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: _Door(make_link), sock=bind(path), backlog=ACCEPTS
    )
    lengthen_queue(server)
    return UnixListener(server, path, url)
