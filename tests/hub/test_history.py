"""A sensor's history from the journal: right, bounded, and never a long read."""

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from peer import running

from bourn.hub import history
from bourn.hub.history import first_time, read_history
from bourn.spool.sqlite import SqliteSpool

EPOCHS = ("0123456789abcdef", "fedcba9876543210")


def journal(path: Path, readings: list[tuple[str, str, int, Any]]) -> str:
    """A journal with these readings (source, sensor, ts, val), in their order of arrival, over two epochs."""
    spool = SqliteSpool(str(path / "j.db"))
    counts: dict[tuple[str, str], int] = {}
    for i, (source, sensor, ts, val) in enumerate(readings):
        key = (source, EPOCHS[i * 2 // len(readings)])
        counts[key] = counts.get(key, 0) + 1
        spool.append((*key, counts[key], sensor, ts, val))
    spool.close()
    return str(path / "j.db")


def plainly(readings: list[tuple[str, str, int, Any]], source: str, sensor: str, start: int, end: int, n: int) -> Any:
    """The same as `read_history`, by looking at everything."""
    width = max(1, -(-(end - start) // n))
    buckets: dict[int, list[float]] = {}
    for s, name, ts, val in readings:
        if (s, name) == (source, sensor) and start <= ts < end and type(val) in (int, float):
            buckets.setdefault((ts - start) // width, []).append(val)
    return [[start + b * width + width // 2, min(v), sum(v) / len(v), max(v)] for b, v in sorted(buckets.items())]


def test_it_is_what_looking_at_everything_gives(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    readings: list[tuple[str, str, int, Any]] = []
    for i in range(5000):
        late = chance.randrange(200_000) if chance.random() < 0.1 else 0  # it waited in an outbox
        val: Any = chance.choice([i, i / 7, "text", None, [1, 2], True]) if chance.random() < 0.2 else i
        readings.append((chance.choice(["a", "b"]), chance.choice(["t", "u"]), i * 100 - late, val))
    path = journal(tmp_path, readings)
    for _ in range(40):
        start = chance.randrange(-300_000, 500_000)
        end = start + chance.choice([1, 100, 10_000, 800_000])
        n = chance.choice([1, 7, 400])
        told = read_history(path, "a", "t", start, end, n)
        wanted = plainly(readings, "a", "t", start, end, n)
        assert [p[0] for p in told["points"]] == [p[0] for p in wanted], (start, end, n)
        for point, right in zip(told["points"], wanted, strict=True):
            assert point == pytest.approx(right)
        assert told["sampled"] is False and len(told["points"]) <= n


def test_of_a_long_journal_an_even_sample_is_read_in_short_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST", 2000)
    monkeypatch.setattr(history, "SAMPLE", 100)
    path = journal(tmp_path, [("a", "t", i * 1000, i) for i in range(20_000)])
    told = read_history(path, "a", "t", 0, 20_000_000, 20)
    assert told["sampled"] is True
    assert told["readings"] == 2000
    assert len(told["points"]) == 20, "every part of the span has its share"
    for ts, low, mean, high in told["points"]:
        assert low <= mean <= high and abs(mean * 1000 - ts) < 1_000_000


def test_no_select_looks_at_more_than_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = journal(tmp_path, [("a", "t", i, i) for i in range(25_000)])
    spans = []
    connect = sqlite3.connect

    class Watched(sqlite3.Connection):
        def execute(self, text: str, parameters: Any = ()) -> Any:  # type: ignore[override]  # what the code calls
            if isinstance(parameters, dict):
                spans.append(parameters["upto"] - parameters["after"])
            return super().execute(text, parameters)

    monkeypatch.setattr(history.sqlite3, "connect", lambda name, uri: connect(name, uri=uri, factory=Watched))
    assert read_history(path, "a", "t", 0, 25_000)["readings"] == 25_000
    assert len(spans) == 3 and max(spans) <= history.PAGE


def test_nothing_there(tmp_path: Path) -> None:
    path = journal(tmp_path, [])
    assert first_time(path) is None
    assert read_history(path, "a", "t", 0, 1000)["points"] == []
    assert read_history(path, "a", "t", 1000, 1000)["points"] == []


def test_the_api(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as hub:
            await hub.serve_page("127.0.0.1", 0)
            assert hub.page is not None
            journal_path = hub.journal.path
            stream = hub.journal.stream("s1", EPOCHS[0])
            hub.journal.take(stream, [(i + 1, "t", 1000 * i, i) for i in range(100)])
            hub.ingest._work.set()
            async with asyncio.timeout(30):
                while hub.journal.rows < 100:
                    await asyncio.sleep(0.01)
            async with httpx.AsyncClient(base_url=hub.page.origin, trust_env=False) as client:
                query = {"source": "s1", "sensor": "t"}
                assert (await client.get("/api/history", params=query)).status_code == 401
                client.headers["authorization"] = "Bearer " + hub.page.url.partition("token=")[2]
                told = (await client.get("/api/history", params=query)).json()
                assert told["readings"] == 100 and told["from"] == 0 and len(told["points"]) <= 400
                told = (await client.get("/api/history", params={**query, "from": 10_000, "to": 20_000})).json()
                assert told == read_history(journal_path, "s1", "t", 10_000, 20_000)
                assert [p[2] for p in told["points"]] == list(range(10, 20))
                for wrong in ({"from": "x"}, {"points": "0"}, {"points": "1e9"}, {"sensor": ""}, {"to": str(1 << 60)}):
                    assert (await client.get("/api/history", params={**query, **wrong})).status_code == 400
                many = await asyncio.gather(*[client.get("/api/history", params=query) for _ in range(20)])
                assert {answer.status_code for answer in many} <= {200, 503}
                assert (await client.get("/api/history", params=query)).status_code == 200, "no place is lost"

    asyncio.run(main())
