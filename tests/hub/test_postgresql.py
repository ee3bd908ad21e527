"""The repository in PostgreSQL: a real server, killed, restored from a backup, refused and shared."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from repository_kinds import EPOCH, LIMIT_S, T0, Bench, Place, by_source
from servers import Postgres, Timescale

from bourn.hub.repositories import RepositoryError, Unreachable, make_repository
from bourn.hub.repositories import driver as driver_module
from bourn.hub.repositories.postgresql import PostgreSQL
from bourn.spool import Gap
from bourn.spool.sqlite import Stream

if os.environ.get("CI") != "true":
    pytest.importorskip("psycopg")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "j.db")
    yield bench
    bench.stop()


@pytest.fixture(params=["postgres", "timescale"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    return Place(tmp_path, request, request.param)


@pytest.fixture
def repository(place: Place) -> PostgreSQL:
    return PostgreSQL(f"{place.postgres.url}?table={place.table}")


def query(place: Place, text: str) -> list[Any]:
    import psycopg

    with psycopg.connect(place.postgres.conninfo) as connection:
        return connection.execute(text).fetchall()


def until(what: Any, why: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.01)


@pytest.mark.parametrize("kind", [Postgres, Timescale])
def test_the_server_is_killed_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Postgres]
) -> None:
    """kill -9 of all its processes while batches come: nothing twice, nothing missing, and it says what is wrong."""
    monkeypatch.setattr(driver_module, "BACKOFF_S", (0.05,))
    server = kind(tmp_path)
    server.start()
    bench = Bench(tmp_path / "j.db")
    try:
        repository = PostgreSQL(server.url)
        driver = bench.add(repository)
        for round in range(3):
            written = driver.written
            for i in range(40):
                bench.put(*range(50), source=f"s{i % 3}")
                if i == 20:
                    until(lambda: driver.written > written, driver.status())  # in the middle of it
                    server.kill()
            until(lambda: driver.last_error, "a killed server shows")
            assert driver.status()["state"] == "retrying"
            assert driver.lag > 0, "the journal keeps it"
            server.start()
            if round % 2:
                bench.settle()
        bench.settle()
        until(lambda: driver.last_error is None, "it is well again")
        assert driver.retries > 0
        assert by_source(list(repository.read())) == by_source(bench.all())
    finally:
        bench.stop()
        server.stop()


def test_a_hub_starts_while_the_server_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "BACKOFF_S", (0.05,))
    server = Postgres(tmp_path)
    bench = Bench(tmp_path / "j.db")
    try:
        bench.put("too early")
        driver = bench.add(PostgreSQL(server.url))
        bench.put("while it is away")
        until(lambda: driver.retries, "it tries")
        assert "no connection" in str(driver.last_error)
        server.start()
        bench.settle()
        assert [row[3] for row in PostgreSQL(server.url).read()] == ["while it is away"]
    finally:
        bench.stop()
        server.stop()


def test_a_database_restored_from_a_backup_gets_what_it_lacks(
    bench: Bench, place: Place, repository: PostgreSQL
) -> None:
    driver = bench.add(repository)
    bench.put(*range(100))
    bench.settle()
    assert driver.stop(LIMIT_S)
    bench.drivers.remove(driver)
    import psycopg

    with psycopg.connect(place.postgres.conninfo) as connection:
        connection.execute(f"DELETE FROM {place.table} WHERE seq > 60")
        connection.execute(f"UPDATE {place.table}_cursor SET pos = 60")
    bench.put(100)
    bench.add(repository)
    bench.settle()
    assert [row[3] for row in repository.read()] == list(range(101))


def test_a_forgotten_cursor_is_found_in_the_database(bench: Bench, repository: PostgreSQL) -> None:
    driver = bench.add(repository)
    bench.put(1, 2)
    bench.settle()
    assert driver.stop(LIMIT_S)
    bench.drivers.remove(driver)
    bench.put(3)
    assert bench.spool.forget(repository.url)
    bench.add(repository)
    bench.settle()
    assert [row[3] for row in repository.read()] == [1, 2, 3]


def test_two_hubs_and_the_same_readings_over_both(
    tmp_path: Path, bench: Bench, place: Place, repository: PostgreSQL
) -> None:
    """A source that moved from one hub to another: each reading once, and a cursor for each hub."""
    other = Bench(tmp_path / "other.db")
    try:
        bench.add(repository)
        other.add(PostgreSQL(f"{place.postgres.url}?table={place.table}"))
        bench.put(*range(10))
        other.put(*range(20))
        for one in (bench, other):
            one.settle()
        assert [row[3] for row in repository.read()] == list(range(20))
        assert len(query(place, f"SELECT * FROM {place.table}_cursor")) == 2
    finally:
        other.stop()


def test_the_short_way_is_left_for_what_is_there_already_and_taken_again(place: Place, repository: PostgreSQL) -> None:
    """All batches in one connection: COPY into the table itself, until its key refuses one."""
    stream = Stream(1, "s", EPOCH, 0)

    def write(*seqs: int) -> bool:
        repository.write([(seq, stream, seq, "t", T0 + seq, seq) for seq in seqs])
        return repository._new

    repository.open(None)
    repository.resume("hub", None)
    assert [write(1, 2), write(3), write(4, 5)] == [True, True, True]
    other = PostgreSQL(repository.url)
    other.open(None)
    other.resume("another hub", None)
    other.write([(9, stream, seq, "t", T0 + seq, seq) for seq in (3, 6, 7, 8)])
    assert [write(6, 9), write(8, 10), write(11), write(12)] == [False, False, True, True]
    assert write(12, 12, 13, 13) is False, "twice in one batch"
    assert [row[3] for row in repository.read()] == list(range(1, 14))
    assert query(place, f"SELECT hub, pos FROM {place.table}_cursor ORDER BY hub") == [("another hub", 9), ("hub", 13)]
    repository.close()
    other.close()


@pytest.mark.parametrize(
    "change",
    [
        "DROP VIEW {t}_view; ALTER TABLE {t} ALTER val TYPE jsonb",
        "ALTER TABLE {t} ALTER seq TYPE integer",
        "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON {t} USING (true)",
    ],
)
def test_a_table_that_its_owner_has_changed(
    tmp_path: Path, request: pytest.FixtureRequest, bench: Bench, change: str
) -> None:
    """What COPY cannot do with it goes the long way, for as long as the connection lasts; nothing is put aside."""
    place = Place(tmp_path, request)
    import psycopg

    with psycopg.connect(place.postgres.conninfo, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS plain")
        connection.execute("CREATE ROLE plain LOGIN")
        connection.execute("GRANT CREATE, USAGE ON SCHEMA public TO plain")
        url = f"{place.postgres.url.replace('bourn@', 'plain@')}?table={place.table}"
        repository = PostgreSQL(url)
        driver = bench.add(repository)
        if "seq" in change:
            connection.execute(f"DROP VIEW IF EXISTS {place.table}_view")
        connection.execute(change.format(t=place.table))
        for i in range(4):
            bench.put(i, {"a": [i, 0.5]})
            bench.settle()
        assert (driver.retries, repository.rejected, repository._short) == (0, 0, False)
        assert by_source(list(repository.read())) == by_source(bench.all())
        bench.stop()
        connection.execute("DROP OWNED BY plain")
        connection.execute("DROP ROLE plain")


@pytest.mark.parametrize("before", [0, 3])
def test_what_it_cannot_hold_is_put_aside_and_blocks_nothing(
    bench: Bench, place: Place, repository: PostgreSQL, before: int
) -> None:
    """Also in the short way, which the batches before have opened."""
    driver = bench.add(repository)
    for _ in range(before):
        bench.put(0, source="before")
        bench.settle()
    assert repository._new is (before > 0)
    stream = bench.spool.stream("s", EPOCH)
    rows = [(i, "t", T0 + i, i) for i in range(1, 41)]
    rows[6] = (7, "t", 2**62, "beyond its calendar")
    rows[20] = (21, "t\0", T0, "a name that no wire lets through")
    bench.spool.take(stream, rows)
    bench.put_gap()
    bench.spool.sync()
    bench.settle()
    assert driver.last_error is None
    assert [row[3] for row in repository.read() if row[0][0] == "s"] == [i for i in range(1, 41) if i not in (7, 21)]
    aside = query(place, f"SELECT seq, reading, reason FROM {place.table}_rejected ORDER BY seq")
    assert [(seq, reading) for seq, reading, _ in aside] == [
        (7, f'["t", {2**62}, "beyond its calendar"]'),
        (21, f'["t\\u0000", {T0}, "a name that no wire lets through"]'),
    ]
    assert "beyond the years" in aside[0][2] and repository.rejected == 2
    assert query(place, f"SELECT first, last, reason FROM {place.table}_gap") == [(41, 43, "full")]


def test_a_gap_that_has_grown_is_told_whole(place: Place, repository: PostgreSQL) -> None:
    """After a crash it comes again, and retention may have joined it meanwhile with what was behind it."""
    repository.open(None)
    repository.resume("hub", None)
    stream = Stream(1, "s", EPOCH, 0)
    for last in (3, 9, 5):
        repository.write([(last, stream, Gap(1, last, "trimmed"))])
    repository.close()
    assert query(place, f"SELECT first, last FROM {place.table}_gap") == [(1, 9)]


def test_what_people_query(bench: Bench, place: Place, repository: PostgreSQL) -> None:
    bench.add(repository)
    bench.put(5, 2.5, "text", None)
    bench.settle()
    view = query(place, f"SELECT id, source, sensor, number, val::text FROM {place.table}_view ORDER BY time")
    assert view == [
        (f"s:{EPOCH}:1", "s", "t", 5.0, "5"),
        (f"s:{EPOCH}:2", "s", "t", 2.5, "2.5"),
        (f"s:{EPOCH}:3", "s", "t", None, '"text"'),
        (f"s:{EPOCH}:4", "s", "t", None, "null"),
    ]
    assert query(place, f"SELECT avg(number) FROM {place.table}_view") == [(3.75,)]
    assert [row[3] for row in repository.read(sensor="t", since=T0 + 2, until=T0 + 4)] == [2.5, "text"]


def test_where_timescaledb_is_the_table_is_cut_by_time(bench: Bench, place: Place, repository: PostgreSQL) -> None:
    """A hypertable: a chunk for each week of readings; the key holds the time, and still keeps each reading once."""
    hypertables = f"SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_name = '{place.table}'"
    driver = bench.add(repository)
    stream = bench.spool.stream("s", EPOCH)
    bench.spool.take(stream, [(seq, "t", T0 + seq * 86_400_000, seq) for seq in range(1, 101)])
    bench.spool.sync()
    bench.settle()
    if isinstance(place.postgres, Timescale):
        assert query(place, hypertables) == [(1,)]
        chunks = f"SELECT num_chunks FROM timescaledb_information.hypertables WHERE hypertable_name = '{place.table}'"
        assert query(place, chunks)[0][0] >= 100 // 7
        plan = query(place, f"EXPLAIN SELECT avg(number) FROM {place.table}_view WHERE time >= '2026-12-20'")
        assert 1 <= sum("Scan on _hyper" in line for (line,) in plan) <= 4, "only the weeks asked for are read"
    else:
        assert query(place, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == [(0,)]
    assert driver.stop(LIMIT_S)
    bench.drivers.remove(driver)
    repository.open(None)
    repository.resume(bench.spool.hub, None)
    repository.write(bench.spool.read(None, 1000))  # all of it again
    repository.close()
    assert by_source(list(repository.read())) == by_source(bench.all())


def test_a_table_of_something_else_is_left_alone(bench: Bench, place: Place, repository: PostgreSQL) -> None:
    import psycopg

    with psycopg.connect(place.postgres.conninfo) as connection:
        connection.execute(f"CREATE TABLE {place.table} (id int, sensor text)")
    with pytest.raises(ValueError, match=r"something else's .*table=NAME"):
        bench.add(repository)


def test_a_password_is_nowhere(bench: Bench, tmp_path: Path) -> None:
    """Not in what is shown, not in errors, not in the journal."""
    for url in (
        "postgresql://bourn:p%40ss-w0rd@127.0.0.1:9/db?table=t",
        "postgresql://127.0.0.1:9/db?user=bourn&password=p%40ss-w0rd&table=t",
        "postgresql://bourn:what/is?a@w0rd@127.0.0.1:9/db?table=t2",
    ):
        repository = make_repository(url)
        driver = bench.add(repository)
        bench.put(1)
        shown = f"{repository.url} {driver.status()} {driver._thread.name} {vars(driver)}"
        assert "w0rd" not in shown
        with pytest.raises(Unreachable) as error:
            repository.open(None)
        assert "w0rd" not in f"{error.value} {error.value.__cause__}"
    bench.stop()
    assert b"w0rd" not in (tmp_path / "j.db").read_bytes()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://h/d?nonsense=1", "nonsense"),
        ("postgresql://h/d?table=a.b.c", "no table's name"),
        ("postgresql://u:secret@h:port/d", "'port' is no port"),
    ],
)
def test_a_wrong_url(url: str, words: str) -> None:
    with pytest.raises(RepositoryError, match=words) as error:
        make_repository(url)
    assert "secret" not in str(error.value)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(RepositoryError, match=r"pip install 'bourn\[postgres\]'"):
        make_repository("postgresql://h/d")
