"""How much room the journal has: by its own limit and by its disk, and what becomes of it when there is none."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from bourn.spool.sqlite_file import free_bytes

if TYPE_CHECKING:
    from bourn.spool.sqlite import SqliteSpool

LOW = 0.1  # of the room that a journal has: less than that is low
LOW_DISK_BYTES = 200 << 20  # less than that on the disk is low, where the journal may still take more


class Space:
    """Looked at once a second by `sample`, and told by `take`."""

    def __init__(self, journal: SqliteSpool) -> None:
        self._journal = journal
        self._oldest: int | None = None
        self._free: int | None = None

    def sample(self) -> None:
        """Ask the disk and the journal."""
        try:
            free = free_bytes(self._journal.path)
        except OSError:
            free = None
        # To one part in 128: a page that is open is told of what changes, and not of every other program's log.
        self._free = None if free is None else free & (-1 << max(0, free.bit_length() - 7))
        try:
            self._oldest = self._journal.oldest()
        except sqlite3.Error:  # a journal in trouble tells of it otherwise
            self._oldest = None

    def take(self, failing: bool, no_room: bool) -> dict[str, Any]:
        """`failing`: nothing can be stored now; `no_room`: since the disk is full.

        `state`: "room", "low", "dropping" (the oldest, for that is the policy), "full" or "disk_full".
        """
        space = self._journal.space()
        return {**space, "oldest": self._oldest, "disk_free": self._free, "state": self._state(space, failing, no_room)}

    def _state(self, space: dict[str, Any], failing: bool, no_room: bool) -> str:
        left = space["full_at"] - space["bytes"]
        if failing and no_room:
            return "disk_full"
        if space["full"]:
            return "full"
        nearly = left < LOW * space["full_at"]
        if nearly and space["when_full"] == "drop_oldest":
            return "dropping" if space["dropped"] else "room"
        low_disk = self._free is not None and self._free < min(left, LOW_DISK_BYTES)
        return "low" if nearly or low_disk else "room"
