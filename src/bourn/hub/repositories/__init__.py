"""Repositories take what the journal has committed; chosen by URL. This file is the contract and the factory.

    repository.url            what it was made from, for people and for its cursor
    repository.keeps          True if what it holds outlives the hub: then the journal remembers how far it is
    open(mark)                make it ready; `mark` is what `write` returned before the last crash or stop (None: never)
    write(entries) -> mark    store the entries, in order; when it returns they are as durable as it can; the same
                              entries may come again after a crash and must not be there twice
    close()                   no more; release everything
    read(sensor, since, until) -> iterator of (id, ts, sensor, val)       where it can be read back

An entry is what the journal's `read` gives: (pos, stream, seq, sensor, ts, val), or (pos, stream, Gap).
Exceptions are welcome: whoever drives it (`driver.py`) tries again after a pause, beginning with `open`, and nothing
else is delayed by that. Anything with an `append` method, a plain list too, is a repository as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from bourn.spool.sqlite import Entry

KNOWN = {
    "csv:PATH": "appends to a CSV file",
    "memory:": "keeps the newest 10,000 readings in memory",
    "screen:": "prints readings in the terminal",
}


class Repository(Protocol):
    """What a repository has to have."""

    url: str
    keeps: bool

    def open(self, mark: str | None) -> None:
        """Make it ready."""

    def write(self, entries: list[Entry]) -> str | None:
        """Store the entries."""

    def close(self) -> None:
        """Release everything."""


class RepositoryError(ValueError):
    """The URL names no repository that there is; the text says which there are."""


def make_repository(url: str) -> Repository:
    """The repository that `url` names. RepositoryError when there is none such."""
    scheme, colon, rest = url.partition(":")
    if colon and scheme == "csv" and rest:
        from bourn.hub.repositories.csv_file import CsvFile

        return CsvFile(rest)
    if colon and scheme == "screen":
        from bourn.hub.repositories.screen import Screen

        return Screen()
    if colon and scheme == "memory":
        from bourn.hub.repositories.memory import Memory

        return Memory()
    raise RepositoryError(f"there is no repository {url!r}; known: {', '.join(KNOWN)}")


class Appender:
    """Anything with `append` as a repository: `hub.add(Appender(mylist))` puts (id, ts, sensor, val) into it."""

    keeps = False

    def __init__(self, target: Any) -> None:
        self.target = target
        self.url = f"append:{type(target).__name__}"

    def open(self, mark: str | None) -> None:
        """Nothing to prepare."""

    def write(self, entries: list[Entry]) -> None:
        """Append the readings."""
        for reading in readings(entries):
            self.target.append(reading)

    def close(self) -> None:
        """Nothing to release."""


def readings(entries: list[Entry]) -> Iterator[tuple[str, int, str, Any]]:
    """The readings among `entries`, as (id, ts, sensor, val)."""
    for entry in entries:
        if len(entry) == 6:
            _, stream, seq, sensor, ts, val = entry
            yield stream.reading_id(seq), ts, sensor, val
