"""The newest readings in memory: for tests, and for programs that embed a hub."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Lock
from typing import Any

from bourn.hub.repositories import readings
from bourn.spool.sqlite import Entry

NEWEST = 10_000


class Memory:
    """A ring of the newest `bound` readings; `dropped` counts those that had to make room."""

    keeps = False
    url = "memory:"

    def __init__(self, bound: int = NEWEST) -> None:
        self._ring: deque[tuple[str, int, str, Any]] = deque(maxlen=bound)
        self._lock = Lock()
        self.dropped = 0

    def open(self, mark: str | None) -> None:
        """Nothing to prepare."""

    def write(self, entries: list[Entry]) -> None:
        """Put the readings into the ring."""
        with self._lock:
            new = list(readings(entries))
            self.dropped += max(0, len(self._ring) + len(new) - (self._ring.maxlen or 0))
            self._ring.extend(new)

    def read(
        self, sensor: str | None = None, since: int | None = None, until: int | None = None
    ) -> Iterator[tuple[str, int, str, Any]]:
        """The readings there are, oldest first."""
        with self._lock:
            now = list(self._ring)
        for reading in now:
            if (
                (sensor is None or reading[2] == sensor)
                and (since is None or reading[1] >= since)
                and (until is None or reading[1] < until)
            ):
                yield reading

    def close(self) -> None:
        """What is there can still be read."""
