"""Bytes both ways between two threads of one process, without a socket: where they meet, and what they wait on.

A hub `offer`s a name, a sender `connect`s to it; each then has one end. A `Way` is one direction: a bounded queue of
pieces. Whoever finds it empty, or full, waits on a doorbell that the other side rings; nothing polls.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable

WAY_BYTES = 262144  # on their way in one direction; what would be more has to wait

_offers: dict[str, Callable[[End], None]] = {}  # name: what runs in the thread of the one who connects
_lock = threading.Lock()


def offer(name: str, accept: Callable[[End], None]) -> None:
    """From now on `accept(end)` gets the other end of each connection to `name`. OSError when the name is taken."""
    with _lock:
        if name in _offers:
            raise OSError(errno.EADDRINUSE, "a hub of this process has that name already")
        _offers[name] = accept


def withdraw(name: str) -> None:
    """Let nobody connect to `name` any more."""
    with _lock:
        _offers.pop(name, None)


def offered(name: str) -> bool:
    """True if somebody can connect to `name` now."""
    with _lock:
        return name in _offers


def connect(name: str) -> End:
    """The near end of a new connection to `name`, which may be written to at once. OSError when nobody offers it."""
    with _lock:
        accept = _offers.get(name)
    if accept is None:
        raise OSError(errno.ECONNREFUSED, f"no hub of this process has the name {name!r}")
    here, there = Way(), Way()
    end = End(here, there)
    accept(End(there, here))
    return end


class Way:
    """One direction. `ring` is called when something comes, or the end; `ring_back` when there is room again."""

    def __init__(self) -> None:
        self.size = 0
        self.ended = False
        self.ring: Callable[[], None] = _nobody
        self.ring_back: Callable[[], None] = _nobody
        self._pieces: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._refused = False  # someone waits for room

    def put(self, data: bytes) -> int:
        """Take as much of `data` as there is room for; how much. OSError EAGAIN: none now; EPIPE: it has ended."""
        with self._lock:
            if self.ended:
                raise OSError(errno.EPIPE, "the other side has closed the queue")
            room = WAY_BYTES - self.size
            if room <= 0:
                self._refused = True
                raise OSError(errno.EAGAIN, "full")
            if len(data) > room:
                data = data[:room]
            self._pieces.append(data)
            self.size += len(data)
        self.ring()
        return len(data)

    def put_all(self, data: bytes) -> None:
        """Take `data` whether there is room or not: for who looks at `size` before."""
        with self._lock:
            self._pieces.append(data)
            self.size += len(data)
        self.ring()

    def take(self) -> list[bytes]:
        """All that is there, as a list of pieces."""
        with self._lock:
            pieces = list(self._pieces)
            self._pieces.clear()
            self.size = 0
            refused, self._refused = self._refused, False
        if refused:
            self.ring_back()
        return pieces

    def end(self) -> None:
        """Nothing more comes this way, or is taken from it; what is in it still arrives."""
        self.ended = True
        self.ring()
        self.ring_back()


class End:
    """One side's two ways: `out` to the other side, `into` from it."""

    def __init__(self, out: Way, into: Way) -> None:
        self.out = out
        self.into = into


class Bell:
    """Something to poll that another thread rings."""

    def __init__(self) -> None:
        self._number = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Of the descriptor that becomes readable; -1 once it is closed."""
        return self._number

    def ring(self) -> None:
        """Wake who polls it."""
        with self._lock:  # else it might be a descriptor of someone else by now
            if self._number >= 0:
                os.eventfd_write(self._number, 1)

    def clear(self) -> None:
        """It was heard."""
        try:
            os.eventfd_read(self._number)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Ring no more."""
        with self._lock:
            if self._number >= 0:
                os.close(self._number)
                self._number = -1


def _nobody() -> None:
    """Nobody waits on this side yet."""
