"""One repository is ten times slower than the others and then away for a while: the others lag less than a second."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from repository_kinds import EPOCH, LIMIT_S, Bench, same

from bourn.hub.repositories import driver as driver_module
from bourn.hub.repositories import readings
from bourn.hub.repositories.csv_file import CsvFile
from bourn.hub.repositories.sqlite_file import SqliteFile
from bourn.spool.sqlite import Entry

PERIOD_S = 0.01  # a batch is committed so often
READINGS = 20  # of a batch


class Punctual:
    """Notes how long after their commit it got readings: their value is that moment."""

    keeps = False
    url = "punctual:"

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.worst_s = 0.0

    def open(self, mark: str | None) -> None:
        pass

    def write(self, entries: list[Entry]) -> None:
        rows = list(readings(entries))
        self.got += rows
        self.worst_s = max(self.worst_s, time.monotonic() - min(row[3] for row in rows))

    def close(self) -> None:
        pass


class Slow(SqliteFile):
    """Takes ten periods for a batch of any size, and nothing at all while `away` is set."""

    batch_rows = READINGS * 5

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.away = threading.Event()
        self.refused = 0

    def write(self, entries: list[Entry]) -> None:
        if self.away.is_set():
            self.refused += 1
            raise OSError(111, "away (by the test)")
        if entries:
            time.sleep(10 * PERIOD_S)
        super().write(entries)


def run(folder: Path, before_s: float, outage_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bourn.spool.recent.ROWS", 2_000)  # so that the slow one reads the file
    bench = Bench(folder / "j.db")
    punctual, slow = Punctual(), Slow(str(folder / "slow.db"))
    others = [
        bench.add(repository) for repository in (CsvFile(str(folder / "all.csv")), SqliteFile(str(folder / "o.db")))
    ]
    bench.add(punctual)
    driver = bench.add(slow)
    lags: list[int] = []
    began = time.monotonic()
    stream = bench.spool.stream("s", EPOCH)
    try:
        while (now := time.monotonic() - began) < before_s + outage_s:
            if now >= before_s:
                slow.away.set()
            rows = [(stream.last + 1 + i, "t", 1_790_000_000_000 + i, time.monotonic()) for i in range(READINGS)]
            bench.spool.take(stream, rows)
            bench.spool.insert()
            bench.spool.commit()
            bench.spool.committed()
            lags.append(max(one.lag for one in others))
            time.sleep(PERIOD_S)
        slow.away.clear()
        rate = len(lags) * READINGS / (before_s + outage_s)
        assert slow.refused > 0 and driver.lag > rate * outage_s / 2, "it really was behind"
        assert punctual.worst_s < 1, f"readings came {punctual.worst_s:.2f} s late"
        assert max(lags) < rate, "a second's worth of readings"
        driver._batch_rows = 10_000  # it has recovered, too
        end = time.monotonic() + LIMIT_S + outage_s
        while any(one.lag for one in bench.drivers):
            assert time.monotonic() < end, [one.status() for one in bench.drivers]
            time.sleep(0.01)
        assert same("sqlite", list(slow.read()), bench.all())
        print(f"worst {punctual.worst_s * 1000:.0f} ms late, {slow.refused} refusals, {driver.written} readings")
    finally:
        bench.stop()


def test_the_others_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "BACKOFF_S", (0.05, 0.1))
    run(tmp_path, 1, 1.5, monkeypatch)


@pytest.mark.soak
def test_the_others_do_not_wait_through_an_outage_of_30_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, 10, 30, monkeypatch)
