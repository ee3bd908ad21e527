"""The newest points of every sensor, for the charts of the live page."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Any

from bourn.spool.sqlite import Entry

POINTS = 300  # kept per sensor
SENSORS = 1_000  # shown at most; the one that was silent longest goes first


class _Series:
    def __init__(self, source: str, sensor: str) -> None:
        self.source = source
        self.sensor = sensor
        self.count = 0
        self.ts = 0
        self.val: Any = None
        self.points: deque[tuple[int, int, float]] = deque(maxlen=POINTS)


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
        """The newest place, and each sensor with its points after the place `after`, by name."""
        with self._lock:
            rows = [
                {
                    "source": s.source,
                    "sensor": s.sensor,
                    "ts": s.ts,
                    "val": s.val,
                    "count": s.count,
                    "points": [p for p in s.points if p[0] > after],
                }
                for s in self._series.values()
            ]
            return self._upto, sorted(rows, key=lambda row: (row["source"], row["sensor"]))

    def _take(self, pos: int, stream: Any, seq: int, sensor: str, ts: int, val: Any) -> None:
        key = (stream.source, sensor)
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= SENSORS:
                del self._series[min(self._series, key=lambda k: self._series[k].ts)]
            series = self._series[key] = _Series(*key)
        series.count += 1
        series.ts = ts
        series.val = val
        if isinstance(val, (int, float)) and not isinstance(val, bool):
            series.points.append((pos, ts, val))
