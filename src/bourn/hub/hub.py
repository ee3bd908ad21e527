"""The hub: listener, ingest, journal, repositories and page put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from bourn import __version__
from bourn.hub.connections import Listener, listen
from bourn.hub.control_file import remove_control, write_control
from bourn.hub.ingest import Ingest
from bourn.hub.link import Link
from bourn.hub.repositories import Repository
from bourn.hub.repositories.driver import Driver
from bourn.hub.repositories.plot import Plot
from bourn.spool.sqlite import SqliteSpool

if TYPE_CHECKING:
    from bourn.hub.web.app import Page

REPOSITORY_STOP_S = 1.0  # in which repositories may take what is committed when the hub stops
RATE_S = 5.0  # over which the page's readings per second are averaged


class Hub:
    """A hub over one journal. `await start()`, and at the end `await stop()`; between them it needs nothing.

    JournalError, OSError or ValueError from the constructor or `start` say what is wrong with the settings.
    """

    def __init__(
        self,
        journal: str,
        listen_url: str = "tcp://127.0.0.1:0",
        in_flight: int = 1000,
        network_in_flight: int | None = None,
        insecure: bool = False,
    ) -> None:
        self._listen_url = listen_url
        self._insecure = insecure
        self.journal = SqliteSpool(journal)
        try:
            self.ingest = Ingest(self.journal, in_flight, network_in_flight)
        except ValueError:
            self.journal.close()
            raise
        self.drivers: list[Driver] = []
        self.plot: Plot | None = None
        self.page: Page | None = None
        self.stored = 0
        self._rows_before = self.journal.rows
        self._listener: Listener | None = None
        self._ingesting: asyncio.Task[None] | None = None
        self._started = time.monotonic()
        self._stopping = False
        self._rates: deque[tuple[float, int]] = deque()

    @property
    def url(self) -> str:
        """What senders connect to, with the real port."""
        assert self._listener is not None
        return self._listener.url

    def add(self, repository: Repository) -> None:
        """From now on `repository` gets what is committed. What its `open` raises comes out here."""
        driver = Driver(self.journal, repository)
        driver.start()
        self.drivers.append(driver)
        if isinstance(repository, Plot):
            self.plot = repository

    async def start(self) -> None:
        """Let links in."""
        self._listener = await listen(self._listen_url, lambda: Link(self.ingest), self._insecure)
        self._ingesting = asyncio.create_task(self.ingest.run(), name="ingest")

    async def serve_page(self, host: str, port: int) -> str:
        """Serve the page and the API, and leave the control file by which commands find them.

        Returns the page's URL with the token. OSError when the address is taken.
        """
        from bourn.hub.web.api import routes
        from bourn.hub.web.app import serve_page

        token = secrets.token_urlsafe(16)
        self.page = await serve_page(self.status, host, port, token, routes=routes(self))
        write_control(self.journal.path, self.page.origin, token)
        return self.page.url

    async def stop(self) -> None:
        """Take nothing more in, commit and acknowledge what came, let the repositories have it, close everything."""
        if self._stopping:
            return
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        if self._ingesting is not None:
            self.ingest.stop()
            await self._ingesting
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.run_in_executor(None, d.stop, REPOSITORY_STOP_S) for d in self.drivers])
        if self.page is not None:
            remove_control(self.journal.path)
            await self.page.close()
        self.stored = self.journal.rows - self._rows_before
        self.journal.close()

    def status(self, points_after: int = 0) -> dict[str, Any]:
        """Everything the page shows; `points_after` leaves out points it has. Called in the loop's thread."""
        ingest, journal = self.ingest, self.journal
        now = time.monotonic()
        upto, sensors = self.plot.snapshot(points_after) if self.plot else (0, [])
        pool = ingest.pool
        return {
            "version": __version__,
            "hub": journal.hub,
            "name": os.path.basename(journal.path),
            "now": int(time.time() * 1000),
            "uptime_s": round(now - self._started, 1),
            "state": "stopping" if self._stopping else "running",
            "network": {
                "limit": pool.limit if pool else None,
                "in_flight": pool.lent if pool else sum(link.in_flight for link in ingest.links),
                "peak": pool.peak if pool else None,
            },
            "journal": {
                "path": journal.path,
                "rows": journal.rows,
                "rate": self._rate(now),
                "bytes": _size(journal.path),
                "commits": ingest.commits,
                "commit_ms": round(ingest.commit_ms, 2),
                "gaps": journal.counters["gaps"],
                "duplicates": journal.counters["duplicates"],
                "quarantined": journal.counters["quarantined"],
                "last_error": ingest.last_error,
            },
            "links": self._links(now),
            "sensors": sensors,
            "points_upto": upto,
            "repositories": [d.status() for d in self.drivers],
            "counters": {"refused": dict(ingest.refusals), "replaced_links": ingest.replaced},
            "errors": list(ingest.errors)[::-1],
        }

    def _links(self, now: float) -> list[dict[str, Any]]:
        rows = []
        for source in sorted(self.ingest.sources.values(), key=lambda s: s.name):
            link = source.link
            rows.append(
                {
                    "source": source.name,
                    "state": "up" if link else "down",
                    "peer": source.peer,
                    "runtime": source.runtime,
                    "in_flight": link.credit + link.in_flight
                    if link and self.ingest.pool
                    else link.in_flight
                    if link
                    else 0,
                    "window": self.ingest.pool.limit if self.ingest.pool else self.ingest.in_flight,
                    "acked": source.acked + (link.acked if link else 0),
                    "duplicates": source.duplicates + (link.duplicates if link else 0),
                    "links": source.links,
                    "seen_ms": int((now - (link.heard if link else source.seen)) * 1000),
                    "last_error": source.last_error,
                }
            )
        return rows

    def _rate(self, now: float) -> float:
        """Readings stored per second, over the last few seconds in which someone asked."""
        rates = self._rates
        if not rates or now - rates[-1][0] >= 0.2:  # whoever asks oftener gets the same
            rates.append((now, self.journal.rows))
        while len(rates) > 2 and now - rates[1][0] >= RATE_S:
            rates.popleft()
        (first, before), (last, after) = rates[0], rates[-1]
        return round((after - before) / (last - first), 1) if last > first else 0.0


def _size(path: str) -> int:
    return sum(os.path.getsize(p) for p in (path, path + "-wal") if os.path.exists(p))
