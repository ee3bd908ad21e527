"""The newest entries of a journal in memory, for readers that keep up; laggards read the file (CPython)."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from operator import itemgetter
from typing import Any

ROWS = 20_000  # kept
BYTES = 32 << 20  # of them, as they came

Entry = tuple[Any, ...]  # (pos, stream, seq, sensor, ts, val) or (pos, stream, Gap)


class Recent:
    """Committed batches, the oldest first. Not for several threads: its owner has a lock."""

    def __init__(self) -> None:
        self._batches: deque[tuple[list[Entry], int]] = deque()  # each with the bytes in which it came
        self._rows = 0
        self._bytes = 0

    def add(self, entries: list[Entry], size: int) -> None:
        """One more batch; the oldest go where there are too many, but never this one."""
        self._batches.append((entries, size))
        self._rows += len(entries)
        self._bytes += size
        while len(self._batches) > 1 and (self._rows > ROWS or self._bytes > BYTES):
            self._drop()

    def forget(self, upto: int) -> None:
        """What is up to the place `upto` was removed from the journal, and is not to be read here any more."""
        while self._batches and self._batches[0][0][0][0] <= upto:
            self._drop()

    def read(self, after: int, limit: int) -> list[Entry] | None:
        """At most `limit` of what follows the place `after`; None where some of it may not be in memory any more."""
        found = None
        for rows, _ in reversed(self._batches):  # who keeps up wants the last
            if rows[-1][0] <= after:
                break
            found = rows
        if found is None or (found is self._batches[0][0] and found[0][0] > after + 1):
            return None
        start = bisect_right(found, after, key=itemgetter(0))
        return found if start == 0 and len(found) <= limit else found[start : start + limit]

    def _drop(self) -> None:
        entries, size = self._batches.popleft()
        self._rows -= len(entries)
        self._bytes -= size
