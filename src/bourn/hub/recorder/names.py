"""File names that hold all that adoption needs: whose recording it is, which frames, since when.

    NAME.EPOCH.FIRST.AT.wav.part          being written
    NAME.EPOCH.FIRST-END.AT.wav           sealed: frames FIRST <= n < END, so END is the FIRST of the next file
    NAME.EPOCH.FIRST-END.AT.wav.tar.zst   its archive; `.tmp` behind it while it is written

AT is the time of the first frame, in milliseconds since 1970. The remote name is made of nothing else, so that a retry,
by whatever process, overwrites what an earlier try left.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FILE = re.compile(
    r"(?P<name>[A-Za-z0-9_-]{1,64})\.(?P<epoch>[0-9a-f]{16})\.(?P<first>\d{15})(-(?P<end>\d{15}))?\.(?P<at>\d{13})"
    r"\.(?P<ending>wav|jsonl|raw[1-9]\d{0,8})(?P<part>\.part)?(?P<packed>\.tar\.zst|\.zip|\.plain)?(?P<tmp>\.tmp)?"
)


class FileName(NamedTuple):
    """What a name says; `end` is 0 in that of a file being written."""

    name: str
    epoch: str
    first: int
    end: int
    at: int
    ending: str
    packed: str = ""  # how it is archived; empty: it is a recording itself
    tmp: bool = False

    @property
    def part(self) -> str:
        """The name while it is written."""
        return f"{self.name}.{self.epoch}.{self.first:015}.{self.at:013}.{self.ending}.part"

    @property
    def sealed(self) -> str:
        """The name when it is complete."""
        return f"{self.name}.{self.epoch}.{self.first:015}-{self.end:015}.{self.at:013}.{self.ending}"

    @property
    def key(self) -> tuple[str, int]:
        """What the catalogue knows it by."""
        return self.epoch, self.first

    def remote(self, packed: str) -> str:
        """The object's name below the URL's prefix."""
        day = datetime.fromtimestamp(self.at / 1000, UTC).strftime("%Y-%m-%d")
        return f"{self.name}/{day}/{self.sealed}{'' if packed == '.plain' else packed}"


def understood(file: str) -> FileName | None:
    """What the name of a file in the folder says; None if it is not one of ours."""
    found = _FILE.fullmatch(file)
    if not found or bool(found["end"]) == bool(found["part"]) or (found["part"] and (found["packed"] or found["tmp"])):
        return None
    numbers = (int(found["first"]), int(found["end"] or 0), int(found["at"]))
    return FileName(found["name"], found["epoch"], *numbers, found["ending"], found["packed"] or "", bool(found["tmp"]))


def checked(name: str) -> str:
    """`name`, if a recording may be called so. ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"a recording cannot be called {name!r}; use 1 to 64 of A-Z a-z 0-9 _ -")
    return name
