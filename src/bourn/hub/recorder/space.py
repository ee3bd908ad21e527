"""How many bytes the recordings may take, and how many they do: shared by the recorder and those who make room."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


class Space:
    """`limit` bytes for all files together, of which `reserve` are kept for the archive that is being made.

    The recorder asks `room` and never takes more than there is; it waits for nothing longer than an addition.
    """

    def __init__(self, limit: int, reserve: int, free: Callable[[], int] | None = None) -> None:
        self._free = free  # what the file system has left: others may fill it
        self.limit = limit
        self.reserve = reserve
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes of all files, as far as is known."""
        return self._used

    def add(self, size: int) -> None:
        """That many bytes more, or (negative) less."""
        with self._lock:
            self._used = max(0, self._used + size)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there, and count it no more. OSError."""
        try:
            size = os.stat(path).st_size
            os.unlink(path)
        except FileNotFoundError:
            return
        self.add(-size)

    def room(self, size: int, reserved: bool = False) -> bool:
        """Whether that many bytes more fit; `reserved`: also into what is kept for the archive."""
        return self._used + size <= self.limit - (0 if reserved else self.reserve)

    def beyond(self, headroom: int) -> int:
        """Bytes to be freed so that the recorder has `headroom`: within the limit, and on the disk. OSError."""
        beyond = self._used + headroom - (self.limit - self.reserve)
        if self._free is not None:
            beyond = max(beyond, headroom + self.reserve - self._free())
        return max(0, beyond)


def free_bytes(folder: str) -> int:
    """What the file system still has for a program like this one."""
    there = os.statvfs(folder)
    return there.f_bavail * there.f_frsize
