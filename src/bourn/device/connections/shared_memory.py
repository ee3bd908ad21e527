"""The connection through shared memory, between processes of one machine: `shm:PATH`, a unix socket as the doorbell.

Made for long readings such as arrays: a frame is copied once into the memory and once out of it, and no byte of it
goes through the kernel. See `bourn.shared_ring` for how.
"""

import errno
import os
import select

from bourn.device.connections.unix import open_link as open_unix
from bourn.device.connections.unix import path_of
from bourn.shared_ring import SharedRing, read_geometry


def check(url: str) -> str:
    """`url` itself; ValueError when it names no file."""
    path_of(url)
    return url


def open_link(url: str):
    """A channel to the hub that listens at `url`. OSError when there is none."""
    return SharedMemory(open_unix(url))


class SharedMemory:
    """A channel through memory that the hub shares as soon as it has let us in."""

    def __init__(self, socket) -> None:
        self.polled = socket
        self._ring = None

    def interest(self, writing: bool) -> int:
        """The socket is the doorbell for both: something came, or there is room again."""
        ring = self._ring
        if ring is None:
            return select.POLLIN
        if ring.untold():  # this is asked after each event, and so also when the socket takes it again
            ring.ring()
        return select.POLLIN | (select.POLLOUT if ring.untold() or (writing and ring.room()) else 0)

    def send(self, data) -> int:
        """Write what there is room for."""
        if self._ring is None:
            raise OSError(errno.EAGAIN, "not let in yet")
        return self._ring.send(data)

    def recv(self, n: int) -> bytes:
        """All that the hub has said."""
        ring = self._ring
        if ring is None:
            self._ring = self._let_in()
            raise OSError(errno.EAGAIN, "empty")
        pieces = ring.pieces()
        data = b"".join(pieces)
        ring.free(pieces)
        if not data and not ring.ended:
            raise OSError(errno.EAGAIN, "empty")
        return data

    def close(self) -> None:
        """Let go of the memory; what was written still reaches the hub."""
        if self._ring is not None:
            self._ring.close()
        self.polled.close()

    def _let_in(self):
        from socket import recv_fds

        said, fds, _, _ = recv_fds(self.polled, 64, 1)
        if not fds:
            raise OSError(errno.ECONNRESET, "the hub closed it, or shares no memory there")
        try:
            up, down = read_geometry(said, fds[0])
        except OSError:
            os.close(fds[0])
            raise
        return SharedRing(self.polled, fds[0], (0, up), (up, down))
