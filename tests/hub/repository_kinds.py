"""Every kind of repository that the contract suite runs, made in a folder of the test; and a journal to feed it."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import Postgres

from bourn.hub.repositories import Appender, Repository, readings
from bourn.hub.repositories.batch_files import folder_of_files
from bourn.hub.repositories.csv_file import CsvFile
from bourn.hub.repositories.driver import Driver, Start
from bourn.hub.repositories.memory import Memory
from bourn.hub.repositories.object_store import objects_in_store
from bourn.hub.repositories.postgresql import PostgreSQL
from bourn.hub.repositories.screen import Screen
from bourn.hub.repositories.sqlite_file import SqliteFile
from bourn.spool import Gap
from bourn.spool.sqlite import Entry, SqliteSpool

EPOCH = "0123456789abcdef"
LIMIT_S = 60
T0 = 1_790_000_000_000


class Bench:
    """A journal with a driver for each repository that is added."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.spool = SqliteSpool(self.path)
        self.drivers: list[Driver] = []

    def add(self, repository: Repository, start: Start = None) -> Driver:
        driver = Driver(self.spool, repository, start)
        driver.start()
        self.drivers.append(driver)
        return driver

    def put(self, *values: Any, source: str = "s", sensor: str = "t") -> None:
        """Commit readings of a source."""
        stream = self.spool.stream(source, EPOCH)
        first = stream.last + 1
        self.spool.take(stream, [(first + i, sensor, T0 + first + i, value) for i, value in enumerate(values)])
        self.spool.sync()

    def put_gap(self, n: int = 3, source: str = "s") -> None:
        stream = self.spool.stream(source, EPOCH)
        self.spool.take_gap(stream, Gap(stream.last + 1, stream.last + n, "full"))
        self.spool.sync()

    def all(self) -> list[Any]:
        """(id, ts, sensor, val) of everything in the journal."""
        entries: list[Entry] = []
        while page := self.spool.read(entries[-1][0] if entries else None, 1000):
            entries += page
        return list(readings(entries))

    def settle(self) -> None:
        """Wait until every repository has everything."""
        end = time.monotonic() + LIMIT_S
        while any(driver.lag for driver in self.drivers):
            assert time.monotonic() < end, [driver.status() for driver in self.drivers]
            time.sleep(0.005)

    def stop(self) -> None:
        for driver in self.drivers:
            driver.stop(LIMIT_S)
        self.drivers.clear()
        self.spool.close()

    def crash(self) -> None:
        """Nothing is written or committed any more; the repositories' threads end without having been asked."""
        self.spool._db.close()
        self.spool._closed = True
        self.spool.wake()
        for driver in self.drivers:
            driver._stop.set()
            driver._thread.join(LIMIT_S)
        self.spool._lock_file.close()


class Place:
    """Where a test's repositories are: a folder, and servers that are started when one is asked for."""

    def __init__(self, path: Path, request: pytest.FixtureRequest, database: str = "postgres") -> None:
        self.path = path
        self._request = request
        self._database = database

    @property
    def postgres(self) -> Postgres:
        """The session's PostgreSQL, or that with TimescaleDB where the place was made for it."""
        server: Postgres = self._request.getfixturevalue(self._database)
        return server

    @property
    def timescale(self) -> Postgres:
        """The session's PostgreSQL with TimescaleDB."""
        server: Postgres = self._request.getfixturevalue("timescale")
        return server

    def server(self, name: str) -> str:
        """The address of the session's `s3`, `google` or `azure`, each with a bucket called "bucket"."""
        address: str = self._request.getfixturevalue(name)
        return address

    @property
    def table(self) -> str:
        """A table of this test's own."""
        return "t" + self.path.name.replace("-", "_").lower()


# Each makes one, and says what is in it.


def in_csv(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = CsvFile(str(place.path / "all.csv"))
    return repository, lambda: list(repository.read())


def in_memory(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = Memory()
    return repository, lambda: list(repository.read())


def in_a_list(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    kept: list[Any] = []
    return Appender(kept), lambda: list(kept)


def on_the_screen(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    """What a terminal shows has no id and its own time; it is compared by source, sensor and value."""
    out = io.StringIO()

    def shown() -> list[Any]:
        rows = []
        for line in out.getvalue().splitlines():
            if "are lost" not in line:
                shown_time, name, value = (
                    line.split("  ", 1)[0],
                    line[14:].split("  ")[0].strip(),
                    line[14:].split("  ", 1)[1],
                )
                assert len(shown_time) == 12
                rows.append((None, None, name, json.loads(value)))
        return rows

    return Screen(out), shown


def in_sqlite(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = SqliteFile(str(place.path / "other.db"))
    return repository, lambda: list(repository.read())


def in_postgresql(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = PostgreSQL(f"{place.postgres.url}?table={place.table}")
    return repository, lambda: list(repository.read())


def in_timescaledb(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = PostgreSQL(f"{place.timescale.url}?table={place.table}")
    return repository, lambda: list(repository.read())


def in_parquet(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = folder_of_files(f"parquet:{place.path / 'parquet'}?rows=7&age=0")
    return repository, lambda: list(repository.read())


def in_files(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = folder_of_files(f"file:{place.path / 'lines'}?age=0")
    return repository, lambda: list(repository.read())


def in_s3(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = objects_in_store(f"s3://bucket/{place.table}?endpoint={place.server('s3')}&form=parquet&rows=20&age=0")
    return repository, lambda: list(repository.read())


def in_google(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = objects_in_store(f"gs://bucket/{place.table}?endpoint={place.server('google')}&rows=20&age=0")
    return repository, lambda: list(repository.read())


def in_azure(place: Place) -> tuple[Repository, Callable[[], list[Any]]]:
    repository = objects_in_store(f"az://bucket/{place.table}?endpoint={place.server('azure')}&rows=20&age=0")
    return repository, lambda: list(repository.read())


KINDS = {
    "csv": in_csv,
    "memory": in_memory,
    "a list": in_a_list,
    "screen": on_the_screen,
    "sqlite": in_sqlite,
    "postgresql": in_postgresql,
    "timescaledb": in_timescaledb,
    "parquet": in_parquet,
    "file": in_files,
    "s3": in_s3,
    "gs": in_google,
    "az": in_azure,
}
LASTING = [kind for kind in KINDS if kind not in ("memory", "a list", "screen")]


def by_source(rows: list[Any]) -> dict[str, list[Any]]:
    """The rows of each source, in the order given."""
    sources: dict[str, list[Any]] = {}
    for row in rows:
        sources.setdefault(row[0].rpartition(":")[0], []).append(row)
    return dict(sorted(sources.items()))


def same(kind: str, got: list[Any], expected: list[Any]) -> bool:
    """Whether nothing is missing, nothing there twice, and each source in its order; to the type of every value."""
    if kind == "screen":
        return repr(got) == repr([(None, None, f"{id.split(':')[0]}/{sensor}", val) for id, _, sensor, val in expected])
    return repr(by_source(got)) == repr(by_source(expected))
