"""A hub for the page's tests: the snapshot in its whole shape, and as lively as a test makes it.

`FakeHub` is the callable that the page wants; `Served` serves it in a thread with a loop of its own, as the hub would.
"""

import asyncio
import copy
import random
import threading
from collections.abc import Callable
from typing import Any

from bourn.hub.web.app import Page, serve_page

TOKEN = "a-token-of-the-tests"
START_MS = 1_790_000_000_000
RUNTIMES = ("cpython 3.11.7", "cpython 3.11.7", "micropython 1.29.0", "cpython 3.11.7", "cpython 3.11.7")


class FakeHub:
    """Called, it is the hub's `status`; `read` and `error` are what happens to it. Time is what `pass_ms` makes it."""

    def __init__(self, sensors: int = 5, seed: int = 1, start_ms: int = START_MS) -> None:
        self._random = random.Random(seed)
        self._points: dict[str, list[list[float]]] = {}
        self._pos = 0
        self.calls: list[int] = []  # the points_after of each call
        self.broken: Exception | None = None  # raised by the next calls
        self.start_ms = start_ms
        self.snapshot: dict[str, Any] = {
            "version": "0.1.0",
            "hub": "4f0c2a9be1d37756",
            "name": "bourn.db",
            "now": start_ms,
            "state": "running",
            "plot": True,
            "network": {"limit": 5, "in_flight": 0, "peak": 0},
            "journal": {
                "path": "bourn.db",
                "rows": 0,
                "stored": 0,
                "rate": 0.0,
                "bytes": 40960,
                "commits": 0,
                "commit_ms": 1.9,
                "gaps": 0,
                "duplicates": 0,
                "quarantined": 0,
                "last_error": None,
                "space": {
                    "bytes": 40960,
                    "full_at": 8_000_000_000,
                    "limit_bytes": 10_000_000_000,
                    "keep_s": None,
                    "hold_s": 604_800.0,
                    "when_full": "block",
                    "full": False,
                    "trimmed": 0,
                    "dropped": 0,
                    "dropped_for": {},
                    "oldest": start_ms,
                    "disk_free": 120_000_000_000,
                    "state": "room",
                },
            },
            "links": [],
            "listeners": [{"url": "tcp://127.0.0.1:7007"}],
            "sensors": [],
            "points_upto": 0,
            "repositories": [
                {
                    "name": "csv:bourn.csv",
                    "state": "up",
                    "pos": 0,
                    "lag": 0,
                    "rate": 2.0,
                    "progress": None,
                    "left_s": None,
                    "written": 0,
                    "retries": 0,
                    "last_error": None,
                }
            ],
            "counters": {"refused": {}, "replaced_links": 0},
            "errors": [],
        }
        for index in range(sensors):
            self.link(f"s{index + 1}", RUNTIMES[index % len(RUNTIMES)], f"127.0.0.1:{51234 + index}")

    def __call__(self, points_after: int = 0) -> dict[str, Any]:
        self.calls.append(points_after)
        if self.broken is not None:
            raise self.broken
        snapshot = copy.deepcopy(self.snapshot)
        snapshot["uptime_s"] = (snapshot["now"] - self.start_ms) / 1000
        snapshot["points_upto"] = self._pos
        for sensor in snapshot["sensors"]:
            points = self._points[sensor["sensor"]]
            sensor["points"] = [point for point in points if point[0] > points_after]
        return snapshot

    def pass_ms(self, ms: int) -> None:
        """The clocks go on, and nothing else happens."""
        self.snapshot["now"] += ms
        for link in self.snapshot["links"]:
            link["seen_ms"] += ms

    def link(self, source: str, runtime: str = RUNTIMES[0], peer: str = "127.0.0.1:50000") -> dict[str, Any]:
        """A new source has connected."""
        link: dict[str, Any] = {
            "source": source,
            "state": "up",
            "peer": peer,
            "runtime": runtime,
            "in_flight": 0,
            "window": 5,
            "acked": 0,
            "rate": 2.0,
            "backlog": 0,
            "duplicates": 0,
            "dropped": 0,
            "links": 1,
            "seen_ms": 0,
            "last_error": None,
        }
        self.snapshot["links"].append(link)
        return link

    def broker(self, url: str = "mqtt://127.0.0.1:1883/bourn", sources: int = 0) -> dict[str, Any]:
        """The hub hears a broker, too, and so many new sources b1, b2, ... come through it."""
        counters = dict.fromkeys(("messages", "garbage", "strangers", "retained"), 0)
        row = {"url": url, "state": "up", "last_error": None, "sources": sources, "rate": 3.0, "counters": counters}
        self.snapshot["listeners"].append(row)
        for index in range(sources):
            self.link(f"b{index + 1}", RUNTIMES[0], url)
        return row

    def read(self, source: str, val: Any, sensor: str | None = None) -> None:
        """A reading of that source has been stored."""
        name = source if sensor is None else sensor
        now = self.snapshot["now"]
        sensors = self.snapshot["sensors"]
        row = next((row for row in sensors if row["sensor"] == name), None)
        if row is None:
            row = {"source": source, "sensor": name, "count": 0}
            sensors.append(row)
            self._points[name] = []
        row["ts"] = now
        row["val"] = val
        row["count"] += 1
        self._pos += 1
        if isinstance(val, (int, float)) and not isinstance(val, bool):
            self._points[name] = [*self._points[name], [self._pos, now, val]][-300:]
        for link in self.snapshot["links"]:
            if link["source"] == source:
                link["acked"] += 1
                link["seen_ms"] = 0
        self.snapshot["journal"]["rows"] += 1

    def read_all(self, rounds: int = 1, every_ms: int = 500) -> None:
        """Every source reads an integer from -100 to 100, `rounds` times."""
        for _ in range(rounds):
            self.pass_ms(every_ms)
            for link in list(self.snapshot["links"]):
                self.read(link["source"], self._random.randint(-100, 100))

    def error(self, where: str, text: str) -> None:
        self.snapshot["errors"].append({"ts": self.snapshot["now"], "where": where, "text": text})


class Served:
    """`with Served(hub) as served:` the page is at `served.url` until `served.close()` or the end of the block."""

    def __init__(
        self, hub: FakeHub, port: int = 0, token: str = TOKEN, period_s: float = 0.05, monitor: Any = None
    ) -> None:
        self._hub = hub
        self._monitor = monitor
        self._arguments = ("127.0.0.1", port, token)
        self._period_s = period_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._page: Page | None = None
        self.url = ""

    def __enter__(self) -> "Served":
        self._thread.start()
        self._page = self.run(
            lambda: serve_page(self._hub, *self._arguments, period_s=self._period_s, monitor=self._monitor)
        )
        self.url = self._page.url
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def origin(self) -> str:
        return self.url.partition("/?")[0]

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    def run(self, start: Callable[[], Any]) -> Any:
        """The result of a coroutine in the page's loop."""
        return asyncio.run_coroutine_threadsafe(start(), self._loop).result(timeout=10)

    def act(self, change: Callable[[], None]) -> None:
        """Changes the fake where the page reads it: in its loop, between two snapshots."""

        async def changed() -> None:
            change()

        self.run(changed)

    def tasks(self) -> set[str]:
        """What still runs in the loop besides this question."""

        async def named() -> set[str]:
            return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}

        return self.run(named)

    def close(self) -> None:
        if self._page is None:
            return
        self.run(self._page.close)
        self._page = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
