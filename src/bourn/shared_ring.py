"""Bytes both ways between two processes through memory that they share, with a unix socket as the doorbell.

The memory holds nothing but data: one ring for each direction. How far a ring is filled and emptied is said through
the socket, eight bytes a message: (bytes written, bytes freed) since the last one, each big-endian u32. So what wakes
the other side also says how much there is, the kernel orders it after the data on every processor, nobody polls, and
the end of a process, however it comes, is the end of the socket. The memory has no name and goes with the last of the
two.

    hub -> sensor, once: the descriptor of the memory, and (MAGIC, bytes of the ring up, bytes of the ring down)
"""

from __future__ import annotations

import errno
import mmap
import os
import socket
import struct

MAGIC = 0x42524E31  # BRN1
UP_BYTES = 1 << 20  # from a sensor to its hub: sixteen frames of the longest kind
DOWN_BYTES = 1 << 16  # acknowledgements
LARGEST = 1 << 26  # of a ring, that a sensor maps because a hub says so

_GEOMETRY = struct.Struct("!III")
_BELL = struct.Struct("!II")


def make_memory(up: int = UP_BYTES, down: int = DOWN_BYTES) -> tuple[int, bytes]:
    """(descriptor of fresh memory for both rings, the bytes that tell the other side of it)."""
    import fcntl

    fd = os.memfd_create("bourn", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, up + down)
    # Else the other side could make it shorter, and the next access here would be the end of this process.
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd, _GEOMETRY.pack(MAGIC, up, down)


def read_geometry(said: bytes, fd: int) -> tuple[int, int]:
    """(bytes up, bytes down) of what `make_memory` told; OSError when it can't be meant, or `fd` is shorter."""
    magic, up, down = _GEOMETRY.unpack(said) if len(said) == _GEOMETRY.size else (0, 0, 0)
    if magic != MAGIC or not 0 < up <= LARGEST or not 0 < down <= LARGEST or os.fstat(fd).st_size < up + down:
        raise OSError(errno.EPROTO, "who listens there shares no memory in a way known here")
    return up, down


class SharedRing:
    """One side's end: `send` into one ring, `receive` out of the other, `socket` (`bell`) to be polled for both.

    `fd` is closed; `out` and `into` are (first byte, length) of the rings in it. Not for several threads.
    """

    def __init__(self, bell: socket.socket, fd: int, out: tuple[int, int], into: tuple[int, int]) -> None:
        self.socket = bell
        try:
            self._map = mmap.mmap(fd, max(out[0] + out[1], into[0] + into[1]))
        finally:
            os.close(fd)
        view = memoryview(self._map)
        self._out = view[out[0] : out[0] + out[1]]
        self._into = view[into[0] : into[0] + into[1]]
        view.release()
        self.waiting = 0  # bytes written that the other side has not freed
        self._write_at = 0
        self._filled = 0  # bytes that it has written and we have not freed
        self._read_at = 0
        self._written = self._freed = 0  # not told yet
        self._bell = b""  # told, but not taken by the socket
        self._heard = b""  # the beginning of a message
        self.ended = False

    def send(self, data: bytes | bytearray) -> int:
        """Write as much of `data` as there is room for, and ring; how much. OSError EAGAIN when there is none."""
        free = self.room()
        if free <= 0:
            raise OSError(errno.EAGAIN, "full")
        n = min(free, len(data))
        at = self._write_at
        first = min(n, len(self._out) - at)
        source = memoryview(data)
        self._out[at : at + first] = source[:first]
        if first < n:
            self._out[: n - first] = source[first:n]
        self._write_at = (at + n) % len(self._out)
        self.waiting += n
        self._written += n
        self.ring()
        return n

    def room(self) -> int:
        """Bytes that can be written now."""
        return len(self._out) - self.waiting

    def pieces(self) -> list[memoryview]:
        """What the other side has written, as views of the memory, valid until `free`. Looks at the socket first.

        `ended` is True once it will write nothing more. OSError when it says what cannot be.
        """
        self._listen()
        at = self._read_at
        first = min(self._filled, len(self._into) - at)
        found = [self._into[at : at + first]] if first else []
        if first < self._filled:
            found.append(self._into[: self._filled - first])
        return found

    def free(self, pieces: list[memoryview]) -> None:
        """What `pieces` gave is done with; the other side may write there."""
        n = sum([len(piece) for piece in pieces])
        for piece in pieces:
            piece.release()
        self._filled -= n
        self._read_at = (self._read_at + n) % len(self._into)
        self._freed += n
        # Whoever waits for room has filled all of it, so this comes: nobody is woken for less.
        if self._freed >= len(self._into) // 4:
            self.ring()

    def ring(self) -> None:
        """Tell the other side all that was written and freed; when the socket does not take it, `untold` is True."""
        while self._bell or self._written or self._freed:
            if not self._bell:
                self._bell = _BELL.pack(self._written, self._freed)
                self._written = self._freed = 0
            try:
                self._bell = self._bell[self.socket.send(self._bell) :]
            except BlockingIOError:
                return  # it has a lot to hear yet
            except (BrokenPipeError, ConnectionResetError):  # it is gone, which `pieces` finds
                self._bell = b""
                self._written = self._freed = 0

    def untold(self) -> bool:
        """True while there is something to tell that the socket did not take: poll it for POLLOUT, and `ring`."""
        return bool(self._bell)

    def close(self) -> None:
        """Let go of the memory and close the socket."""
        self.socket.close()
        self._out.release()
        self._into.release()
        self._map.close()

    def _listen(self) -> None:
        try:
            heard = self.socket.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:  # it ended with something unheard
            heard = b""
        if not heard:
            self.ended = True
            return
        if self._bell or self._written:
            self.ring()
        heard = self._heard + heard
        whole = len(heard) - len(heard) % _BELL.size
        for written, freed in _BELL.iter_unpack(heard[:whole]):
            self._filled += written
            self.waiting -= freed
            if self._filled > len(self._into) or self.waiting < 0:
                raise OSError(errno.EPROTO, "the other side says it wrote or freed what there is no room for")
        self._heard = heard[whole:]
