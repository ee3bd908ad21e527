"""How fast repositories take readings from a journal, each exactly once; and the plain way into PostgreSQL beside it.

The journal is filled beforehand; a driver then gives the repository all of it, through its thread, its cursor and what
makes it exactly once. PostgreSQL is a real server with its own defaults (fsync on), started here.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bourn.hub.repositories import make_repository
from bourn.hub.repositories.driver import Driver
from bourn.spool.sqlite import SqliteSpool

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "hub"))
from servers import Postgres

TITLE = "Repositories"
READINGS = 400_000
SOURCES = 5
PLAIN = 4_000  # readings of the plain way, which takes its time
COPIED = 200_000
ROUNDS = 3


def journal(folder: str) -> SqliteSpool:
    """A journal with READINGS readings of SOURCES sources, in turns."""
    spool = SqliteSpool(os.path.join(folder, "bench.db"))
    streams = [spool.stream(f"s{i}", "0123456789abcdef") for i in range(SOURCES)]
    for first in range(1, READINGS // SOURCES + 1, 1000):
        for i, stream in enumerate(streams):
            rows = [(seq, f"t{i}", 1_790_000_000_000 + seq, seq * 0.25) for seq in range(first, first + 1000)]
            spool.take(stream, rows)
        spool.sync()
    return spool


def through_driver(spool: SqliteSpool, url: str) -> float:
    """Readings per second from the journal into that repository, until it has them all."""
    driver = Driver(spool, make_repository(url), "oldest")
    began = time.perf_counter()
    driver.start()
    while driver.lag and driver.last_error is None:
        time.sleep(0.005)
    took = time.perf_counter() - began
    assert driver.last_error is None and driver.stop(60), driver.last_error
    spool.forget(driver.repository.url)
    return READINGS / took


def alone(spool: SqliteSpool, url: str) -> float:
    """Readings per second of the repository itself, as it is for one that keeps up: the batches are in memory."""
    repository: Any = make_repository(url)
    entries: list[Any] = []
    while page := spool.read(entries[-1][0] if entries else None, 2000):
        entries += page
    repository.open(None)
    repository.resume(spool.hub, None)
    began = time.perf_counter()
    for first in range(0, len(entries), repository.batch_rows):
        repository.write(entries[first : first + repository.batch_rows])
    took = time.perf_counter() - began
    repository.close()
    return len(entries) / took


def plain_postgres(conninfo: str) -> float:
    """Rows per second of one INSERT and commit each, as ThingsBoard's Python gateway and most scripts do it."""
    import psycopg

    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE plain (source text, seq bigint, sensor text, time timestamptz, val float8)")
        began = time.perf_counter()
        for i in range(PLAIN):
            values = ("s", i, "t", 1_790_000_000 + i, i * 0.25)
            connection.execute("INSERT INTO plain VALUES (%s, %s, %s, to_timestamp(%s), %s)", values)
        return PLAIN / (time.perf_counter() - began)


def copied_postgres(conninfo: str) -> float:
    """Rows per second of the plain way to be exactly once: COPY as text to a temporary table, then INSERT, a commit."""
    import psycopg

    into = "COPY incoming FROM STDIN"
    columns = "source text, epoch text, seq bigint, sensor text, time timestamptz, val float8"
    with psycopg.connect(conninfo) as connection:
        connection.execute(f"CREATE TABLE copied ({columns}, PRIMARY KEY (source, epoch, seq))")
        connection.execute(f"CREATE TEMP TABLE incoming ({columns}) ON COMMIT DELETE ROWS")
        connection.commit()
        times = [datetime.fromtimestamp(1_790_000_000 + i, UTC) for i in range(COPIED)]
        began = time.perf_counter()
        for first in range(0, COPIED, 10_000):
            with connection.cursor() as cursor:
                with cursor.copy(into) as copy:
                    for i in range(first, first + 10_000):
                        copy.write_row((f"s{i % SOURCES}", "0123456789abcdef", i, "t", times[i], i * 0.25))
                cursor.execute("INSERT INTO copied SELECT * FROM incoming ON CONFLICT DO NOTHING")
            connection.commit()
        return COPIED / (time.perf_counter() - began)


def rows_of(conninfo: str, table: str) -> int:
    """How many readings are in the table, each counted once."""
    import psycopg

    with psycopg.connect(conninfo) as connection:
        query = f"SELECT count(*), count(DISTINCT (source, epoch, seq)) FROM {table}"
        found: Any = connection.execute(query).fetchone()
        assert found[0] == found[1], "a reading is there twice"
        return int(found[0])


def section() -> str:
    """The table for RESULTS.md."""
    table: list[tuple[str, list[float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(folder, fsync=True)
        server.start()
        spool = journal(folder)
        try:
            plain = [plain_postgres(server.conninfo)]
            table.append(("PostgreSQL, one INSERT and commit each", plain))
            table.append(
                ("PostgreSQL, COPY to a temporary table, INSERT … ON CONFLICT", [copied_postgres(server.conninfo)])
            )
            rates = [alone(spool, f"{server.url}?table=alone{i}") for i in range(ROUNDS)]
            assert rows_of(server.conninfo, "alone0") == READINGS
            table.append(("`postgresql:`, each exactly once, batches from memory", rates))
            rates = []
            for i in range(ROUNDS):
                rates.append(through_driver(spool, f"{server.url}?table=t{i}"))
                assert rows_of(server.conninfo, f"t{i}") == READINGS
            table.append(("`postgresql:`, each exactly once, from the journal's file", rates))
            rates = [through_driver(spool, f"{server.url}?table=t{i}&application_name=again") for i in range(ROUNDS)]
            assert rows_of(server.conninfo, "t0") == READINGS
            table.append(("`postgresql:`, all of it a second time, which changes nothing", rates))
            for name in ("sqlite", "csv", "parquet", "file"):
                rates = [through_driver(spool, f"{name}:{folder}/{name}{i}") for i in range(ROUNDS)]
                table.append((f"`{name}:`", rates))
        finally:
            spool.close()
            server.stop()
    lines = ["| what | readings/s | beside one INSERT and commit each |", "|---|---|---|"]
    for what, rates in table:
        best = max(rates)
        lines.append(f"| {what} | {best:,.0f} | {best / plain[0]:.1f}× |")
    lines += [
        "",
        f"{READINGS:,} readings of {SOURCES} sources, best of {ROUNDS} rounds, from the journal's file where nothing",
        "else is said; PostgreSQL with its defaults (fsync on), on this machine, through a loopback socket.",
    ]
    return "\n".join(lines)
