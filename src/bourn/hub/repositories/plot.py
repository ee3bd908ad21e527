"""The newest points of every sensor, for the charts of the live page."""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from threading import Lock
from typing import Any

from bourn.hub.natural import natural_key
from bourn.spool.sqlite import Entry

POINTS = 300  # kept per sensor
SENSORS = 1_000  # shown at most; the one that was silent longest goes first


class _Series:
    def __init__(self, source: str, sensor: str) -> None:
        self.source = source
        self.sensor = sensor
        self.order = natural_key(source), natural_key(sensor)
        self.count = 0
        self.ts = 0
        self.val: Any = None
        self.points: deque[tuple[int, int, float]] = deque(maxlen=POINTS)
        self.pos = 0  # of the newest reading, a number or not

    def since(self, after: int) -> list[tuple[int, int, float]]:
        """The points after the place `after`: looked for from the newest on, since mostly there are none or one."""
        points = list(takewhile(lambda point: point[0] > after, reversed(self.points)))
        points.reverse()
        return points


class Plot:
    """`plot:`: what the page draws; `snapshot` may be called from any thread."""

    keeps = False
    url = "plot:"

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], _Series] = {}
        self._upto = 0
        self._lock = Lock()

    def open(self, mark: str | None) -> None:
        """Nothing to prepare."""

    def write(self, entries: list[Entry]) -> None:
        """Take the points."""
        with self._lock:
            for entry in entries:
                if len(entry) == 6:
                    self._take(*entry)
            self._upto = entries[-1][0]

    def close(self) -> None:
        """What is there can still be shown."""

    def snapshot(self, after: int = 0) -> tuple[int, list[dict[str, Any]]]:
        """The newest place, and each sensor that has something after the place `after`, with those points, by name."""
        with self._lock:
            news = [series for series in self._series.values() if series.pos > after]
            return self._upto, [
                {
                    "source": s.source,
                    "sensor": s.sensor,
                    "ts": s.ts,
                    "val": s.val,
                    "count": s.count,
                    "points": s.since(after),
                }
                for s in sorted(news, key=lambda series: series.order)
            ]

    def _take(self, pos: int, stream: Any, seq: int, sensor: str, ts: int, val: Any) -> None:
        key = (stream.source, sensor)
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= SENSORS:
                del self._series[min(self._series, key=lambda k: self._series[k].ts)]
            series = self._series[key] = _Series(*key)
        series.count += 1
        series.pos = pos
        series.ts = ts
        series.val = val
        if isinstance(val, (int, float)) and not isinstance(val, bool):
            series.points.append((pos, ts, val))
