"""Repositories take what the journal has committed; chosen by URL. This file is the contract and the factory.

    repository.url            what people see of it and what its cursor is called: without a password
    repository.keeps          True if what it holds outlives the hub: then the journal remembers how far it is
    open(mark)                make it ready; `mark` is what `write` returned before the last crash or stop (None: never)
    write(entries) -> mark    store the entries, in order; when it returns they are as durable as it can; the same
                              entries may come again after a crash and must not be there twice
    close()                   no more; release everything
    read(sensor, since, until) -> iterator of (id, ts, sensor, val)       where it can be read back

An entry is what the journal's `read` gives: (pos, stream, seq, sensor, ts, val), or (pos, stream, Gap).
Exceptions are welcome: whoever drives it (`driver.py`) tries again after a pause, beginning with `open`, and nothing
else is delayed by that. `Unreachable` at the very first `open` is such a failure too (a server that is away); any
other exception there is told at once to whoever added it. Anything with an `append` method, a plain list too, is a
repository as well.

What a repository may have besides:

    batch_rows, batch_age_s   it takes up to so many entries at once, and lets the first wait so long for the others
    resume(hub, place)        it knows itself how far it is in the journal `hub`: returns the place after which to go
                              on; `place` is what the journal says (None: nothing). Asked after every `open`.
    refuse_repeats(hub)       ValueError when readings that it holds would be there twice if they came again; asked
                              before it is given what was committed before it was added
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from bourn.hub.repositories.address import without_secrets
from bourn.spool.sqlite import Entry

GROUP = "bourn.repositories"  # entry points of other packages: the name is the scheme, the object takes the URL

# What there is: (how it is written, what it does), by scheme. docs/repositories.md has the same table.
KNOWN = {
    "az": ("az://CONTAINER/PREFIX", "puts batches as objects into Azure's store"),
    "csv": ("csv:PATH", "appends to a CSV file"),
    "file": ("file:FOLDER", "puts batches as files of JSON lines into a folder"),
    "gs": ("gs://BUCKET/PREFIX", "puts batches as objects into Google's store"),
    "memory": ("memory:", "keeps the newest 10,000 readings in memory"),
    "parquet": ("parquet:FOLDER", "puts batches as Parquet files into a folder"),
    "postgresql": ("postgresql://USER@HOST/DATABASE", "inserts into a table of PostgreSQL or TimescaleDB"),
    "s3": ("s3://BUCKET/PREFIX", "puts batches as objects into S3, or what speaks like it"),
    "screen": ("screen:", "prints readings in the terminal"),
    "sqlite": ("sqlite:PATH", "writes another SQLite database"),
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
    """The URL names no repository that there is, or says it wrongly; the text says what to do."""


class Unreachable(OSError):
    """It is away, and may come back by itself: a server that is down, a network that is cut."""


def make_repository(url: str) -> Repository:
    """The repository that `url` names. RepositoryError when there is none such, or a library for it is missing."""
    scheme, colon, _ = url.partition(":")
    if not colon:
        scheme = ""
    make = _FACTORIES.get(scheme.lower()) or _of_another_package(scheme.lower())
    if make is None:
        known = ", ".join(how for how, _ in KNOWN.values())
        raise RepositoryError(f"there is no repository {without_secrets(url)!r}; known: {known}")
    try:
        return make(url)
    except RepositoryError:
        raise
    except (ImportError, ValueError) as e:
        raise RepositoryError(f"{without_secrets(url)}: {e}") from e


def _csv(url: str) -> Repository:
    from bourn.hub.repositories.csv_file import CsvFile

    return CsvFile(_rest(url))


def _memory(url: str) -> Repository:
    from bourn.hub.repositories.memory import Memory

    return Memory()


def _screen(url: str) -> Repository:
    from bourn.hub.repositories.screen import Screen

    return Screen()


def _sqlite(url: str) -> Repository:
    from bourn.hub.repositories.sqlite_file import SqliteFile

    return SqliteFile(_rest(url))


def _postgresql(url: str) -> Repository:
    from bourn.hub.repositories.postgresql import PostgreSQL

    return PostgreSQL(url)


def _files(url: str) -> Repository:
    from bourn.hub.repositories.batch_files import folder_of_files

    return folder_of_files(url)


def _objects(url: str) -> Repository:
    from bourn.hub.repositories.object_store import objects_in_store

    return objects_in_store(url)


_FACTORIES: dict[str, Callable[[str], Repository]] = {
    "az": _objects,
    "csv": _csv,
    "file": _files,
    "gs": _objects,
    "memory": _memory,
    "parquet": _files,
    "postgres": _postgresql,
    "postgresql": _postgresql,
    "s3": _objects,
    "screen": _screen,
    "sqlite": _sqlite,
}


def _rest(url: str) -> str:
    scheme, _, rest = url.partition(":")
    if not rest:
        raise ValueError(f"a path is missing; write {KNOWN[scheme.lower()][0]}")
    return rest


def _of_another_package(scheme: str) -> Callable[[str], Repository] | None:
    """What an installed package offers under that name. RepositoryError when it cannot be loaded."""
    for point in importlib.metadata.entry_points(group=GROUP, name=scheme):
        try:
            make: Callable[[str], Repository] = point.load()
        except Exception as e:  # other people's code: whatever it raises is told to whoever named it
            whose = point.dist.name if point.dist else point.value
            raise RepositoryError(
                f"the repository {scheme!r} of {whose} cannot be loaded: {type(e).__name__}: {e}"
            ) from e
        return make
    return None


class Appender:
    """Anything with `append` as a repository: `hub.add(Appender(mylist))` puts (id, ts, sensor, val) into it.

    One that fails half-way gets only the rest when the readings come again.
    """

    keeps = False

    def __init__(self, target: Any) -> None:
        self.target = target
        self.url = f"append:{type(target).__name__}"
        self._upto = 0

    def open(self, mark: str | None) -> None:
        """Nothing to prepare."""

    def write(self, entries: list[Entry]) -> None:
        """Append the readings."""
        for entry in entries:
            if entry[0] > self._upto:
                if len(entry) == 6:
                    _, stream, seq, sensor, ts, val = entry
                    self.target.append((stream.reading_id(seq), ts, sensor, val))
                self._upto = entry[0]

    def close(self) -> None:
        """Nothing to release."""


def readings(entries: list[Entry]) -> Iterator[tuple[str, int, str, Any]]:
    """The readings among `entries`, as (id, ts, sensor, val)."""
    for entry in entries:
        if len(entry) == 6:
            _, stream, seq, sensor, ts, val = entry
            yield stream.reading_id(seq), ts, sensor, val
