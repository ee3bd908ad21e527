"""What the hub does, as one dict of JSON values: for the page, `bourn status`, `bourn top` and /metrics.

Figures that only ever grow are counted from the hub's start. Rates are readings per second over the last RATE_S,
sampled once a second by the hub's own tick, so that they are right also for who asks once.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from bourn import __version__
from bourn.hub.space import Space

if TYPE_CHECKING:
    from bourn.hub.hub import Hub
    from bourn.hub.ingest import Source
    from bourn.hub.link import Link
    from bourn.hub.repositories.driver import Driver

RATE_S = 5.0  # over which readings per second are averaged
SAMPLE_S = 1.0  # how often the counters are looked at


class Rates:
    """Per second, how fast named counters grew over the last RATE_S. `sample` is called about once a second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, int]]] = deque()

    def sample(self, now: float, counters: dict[str, int]) -> None:
        """The counters as they are at `now` (seconds that never step)."""
        self._samples.append((now, counters))
        while len(self._samples) > 2 and now - self._samples[1][0] >= RATE_S:
            self._samples.popleft()

    def of(self, name: str) -> float:
        """How fast one of them grew; what came since the first sample began at 0."""
        if len(self._samples) < 2:
            return 0.0
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        grown = after.get(name, 0) - before.get(name, 0)
        return round(grown / (ended - began), 1) if ended > began and grown > 0 else 0.0


class Snapshots:
    """Makes the snapshots of one hub; called in the loop's thread."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._rates = Rates()
        self._space = Space(hub.journal)
        self._started = time.monotonic()

    def sample(self) -> None:
        """Look at the counters that rates are made of: once a second."""
        hub = self._hub
        counters = {f"s:{s.name}": _acked(s) for s in hub.ingest.sources.values()}
        counters["rows"] = hub.journal.counters["appended"]
        for driver in hub.drivers:
            counters[f"r:{driver.repository.url}"] = driver.written
        for listener in hub.listening():
            counters[f"l:{listener['url']}"] = listener.get("counters", {}).get("messages", 0)
        self._rates.sample(time.monotonic(), counters)
        self._space.sample()

    def take(self, points_after: int = 0) -> dict[str, Any]:
        """Everything; `points_after` leaves out points that the asker has."""
        hub = self._hub
        ingest, journal = hub.ingest, hub.journal
        now = time.monotonic()
        upto, sensors = hub.plot.snapshot(points_after) if hub.plot else (0, [])
        pool = ingest.pool
        trouble = ingest.trouble(now)
        return {
            "version": __version__,
            "hub": journal.hub,
            "name": os.path.basename(journal.path),
            "now": int(time.time() * 1000),
            "uptime_s": round(now - self._started, 1),
            "state": "stopping" if hub.stopping else "running",
            "plot": hub.plot is not None,
            "network": {
                "limit": pool.limit if pool else None,
                "in_flight": pool.lent if pool else sum(link.in_flight for link in ingest.links),
                "peak": pool.peak if pool else None,
            },
            "journal": {
                "path": journal.path,
                "rows": journal.rows,
                "stored": journal.counters["appended"],
                "rate": self._rates.of("rows"),
                "bytes": _size(journal.path),
                "commits": ingest.commits,
                "commit_ms": round(ingest.commit_ms, 2),
                "gaps": journal.counters["gaps"],
                "duplicates": journal.counters["duplicates"],
                "quarantined": journal.counters["quarantined"],
                "last_error": trouble,
                "space": self._space.take(trouble is not None, ingest.no_room),
            },
            "links": [self._source(s, now) for s in sorted(ingest.sources.values(), key=lambda s: s.order)],
            "listeners": [
                {**one, "rate": self._rates.of(f"l:{one['url']}")} if "state" in one else one for one in hub.listening()
            ],
            "sensors": sensors,
            "points_upto": upto,
            "repositories": [self._repository(d) for d in hub.drivers],
            "counters": {
                "refused": dict(ingest.refusals),
                "replaced_links": ingest.replaced,
                "links": len(ingest.links),
                "max_links": ingest.max_links,
                "held": ingest.holds,
            },
            "errors": list(ingest.errors)[::-1],
        }

    def _repository(self, driver: Driver) -> dict[str, Any]:
        rate = self._rates.of(f"r:{driver.repository.url}")
        status = driver.status()
        ahead = rate - self._rates.of("rows")  # of what comes meanwhile
        left = int(status["lag"] / ahead) if status["progress"] is not None and ahead > 0 else None
        return {**status, "rate": rate, "left_s": left}

    def _source(self, source: Source, now: float) -> dict[str, Any]:
        link, pool = source.link, self._hub.ingest.pool
        trouble = link.trouble if link else None
        return {
            "source": source.name,
            "state": "up" if link and trouble is None else "down",
            "peer": source.peer,
            "runtime": source.runtime,
            "in_flight": 0 if link is None else link.in_flight + (link.credit if pool else 0),
            "window": pool.limit if pool else self._hub.ingest.in_flight,
            "acked": _acked(source),
            "rate": self._rates.of(f"s:{source.name}"),
            "backlog": None if link is None else self._backlog(link),
            "duplicates": source.duplicates + (link.duplicates if link else 0),
            "dropped": source.dropped,
            "links": source.links,
            "seen_ms": int((now - (link.heard if link else source.seen)) * 1000),
            "last_error": trouble or source.last_error,
        }

    def _backlog(self, link: Link) -> int | None:
        """Readings that wait in the sender's outbox and are not on their way, as far as it has told; None: it has not.

        On a network with a common limit it asks for credit for every one of them; otherwise it says once, in its
        HELLO, how many there are.
        """
        pool = self._hub.ingest.pool
        if pool is not None:
            return pool.wanted(link)
        waiting = link.waiting
        return None if waiting is None else max(0, waiting - (link.acked - link.acked_before) - link.in_flight)


def _acked(source: Source) -> int:
    return source.acked + (source.link.acked if source.link else 0)


def _size(path: str) -> int:
    return sum(os.path.getsize(p) for p in (path, path + "-wal") if os.path.exists(p))
