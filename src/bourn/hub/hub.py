"""The hub: listeners, ingest, journal, repositories and page put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from bourn.hub.connections import Invitation, Listener, listen, open_to_others
from bourn.hub.control_file import remove_control, write_control
from bourn.hub.descriptors import room_for_farewells, room_for_links
from bourn.hub.ingest import MAX_LINKS, Ingest
from bourn.hub.keys import Keys
from bourn.hub.link import Link
from bourn.hub.log import told
from bourn.hub.repositories import Repository
from bourn.hub.repositories.driver import Driver, Start
from bourn.hub.repositories.plot import Plot
from bourn.hub.repositories.roster import Roster
from bourn.hub.snapshot import SAMPLE_S, Snapshots
from bourn.spool.sqlite import JournalFull, Limits, SqliteSpool
from bourn.spool.sqlite_file import is_no_room

if TYPE_CHECKING:
    from bourn.hub.recorder.monitor import Monitor
    from bourn.hub.web.app import Page

REPOSITORY_STOP_S = 1.0  # in which repositories may take what is committed when the hub stops


class Hub:
    """A hub over one journal. `await start()`, and at the end `await stop()`; between them it needs nothing.

    JournalError, OSError or ValueError from the constructor or `start` say what is wrong with the settings.
    """

    def __init__(
        self,
        journal: str,
        listen_url: str | Sequence[str] = "tcp://127.0.0.1:0",
        in_flight: int = 1000,
        network_in_flight: int | None = None,
        insecure: bool = False,
        require_keys: bool = False,
        limits: Limits | None = None,
        say: Callable[[str], Any] | None = None,
    ) -> None:
        """`require_keys`: nobody is trusted, wherever it connects from."""
        self._listen_urls = [listen_url] if isinstance(listen_url, str) else list(listen_url)
        self._insecure = insecure
        self._require_keys = require_keys
        self.journal = SqliteSpool(journal, limits=limits, say=say)
        try:
            self.ingest = Ingest(self.journal, in_flight, network_in_flight)
            self.ingest.max_links = room_for_links(MAX_LINKS)
            self.ingest.max_farewells = room_for_farewells()
            self.ingest.keys = Keys(journal + ".keys")
        except ValueError:
            self.journal.close()
            raise
        self.roster = Roster(self.journal)
        self.plot: Plot | None = None
        self.page: Page | None = None
        self.monitor: Monitor | None = None  # of what is recorded on this machine, where the page is to show it
        self.stored = 0
        self._listeners: list[Listener] = []
        self._ingesting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.stopping = False
        self._control: Callable[[], None] | None = None  # writes the file by which commands find the hub: still to do
        self._snapshots = Snapshots(self)

    @property
    def url(self) -> str:
        """What senders connect to, with the real port: the first, where there are several."""
        return self._listeners[0].url

    @property
    def urls(self) -> list[str]:
        """All that senders can connect to."""
        return [listener.url for listener in self._listeners]

    async def invite(self) -> Invitation:
        """What a sensor that is about to be started needs, to reach this hub by the first of its connections."""
        return await self._listeners[0].invite()

    @property
    def drivers(self) -> list[Driver]:
        """The repositories that there are now, each with its driver."""
        return self.roster.drivers

    def listening(self) -> list[dict[str, Any]]:
        """Where senders connect to, and how each of these places fares, for the page."""
        return [{"url": one.url, **getattr(one, "status", dict)()} for one in self._listeners]

    def add(self, repository: Repository, start: Start = None) -> None:
        """From now on, or from `start` on, `repository` gets what is committed. What its `open` raises comes out here.

        By URL, and while the hub runs: `roster`.
        """
        self.roster.add(repository, start)
        if isinstance(repository, Plot):
            self.plot = repository

    async def start(self) -> None:
        """Let links in. ValueError or OSError, naming the URL, when one of them can't be listened at."""
        for url in self._listen_urls:
            try:
                trusted = not self._require_keys and (self._insecure or not open_to_others(url))
                self._listeners.append(await listen(url, partial(self._make_link, trusted), self._insecure))
            except OSError as e:
                e.filename = url
                raise
        self._ingesting = asyncio.create_task(self.ingest.run(), name="ingest")
        self._ingesting.add_done_callback(self._ingest_ended)
        self._tick()
        told(logging.INFO, "started", f"listening at {', '.join(self.urls)}, journal {self.journal.path}", url=self.url)

    def _make_link(self, trusted: bool, kind: type[Link] = Link) -> Link:
        return kind(self.ingest, trusted)

    async def serve_page(
        self, host: str, port: int, token: str | None = None, certificate: tuple[str, str | None] | None = None
    ) -> str:
        """Serve the page and the API, and leave the control file by which commands find them.

        Returns the page's URL with the token, a new one unless one is given. With a `certificate` and its key (PEM
        files) it is served over TLS. OSError when the address is taken.
        """
        from bourn.hub.web.api import routes
        from bourn.hub.web.app import serve_page

        token = token or secrets.token_urlsafe(16)
        self.page = await serve_page(
            self.status,
            host,
            port,
            token,
            healthy=lambda: self.ingest.trouble(time.monotonic()) is None,
            routes=routes(self),
            certificate=certificate,
            monitor=self.monitor,
        )
        self._control = partial(
            write_control, self.journal.path, self.page.origin, token, certificate[0] if certificate else None
        )
        self._write_control()
        return self.page.url

    def _write_control(self) -> None:
        """Where the disk has no room for it the hub goes on, and tries again."""
        if self._control is not None:
            try:
                self._control()
            except OSError as e:
                if not is_no_room(e, self.journal.path):
                    raise
            else:
                self._control = None

    async def stop(self) -> None:
        """Take nothing more in, commit and acknowledge what came, let the repositories have it, close everything."""
        if self.stopping:
            return
        self.stopping = True
        if self._timer is not None:
            self._timer.cancel()
        for listener in self._listeners:
            listener.close()
        if self._ingesting is not None:
            self.ingest.stop()
            await asyncio.wait([self._ingesting])
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.run_in_executor(None, d.stop, REPOSITORY_STOP_S) for d in self.drivers])
        if self.page is not None:
            try:
                remove_control(self.journal.path)
            except OSError as e:  # its reader sees that this process is gone
                told(logging.WARNING, "control", f"the control file of {self.journal.path} stays behind: {e}")
            await self.page.close()
        if self.monitor is not None:
            self.monitor.close()
        try:
            self.journal.close()
        except (sqlite3.Error, JournalFull) as e:  # what there was no room for was never acknowledged
            self.ingest.last_error = self.ingest.last_error or str(e)
        self.stored = self.journal.counters["appended"]
        told(logging.INFO, "stopped", f"stored {self.stored} readings", stored=self.stored)

    def _ingest_ended(self, task: asyncio.Task[None]) -> None:
        """It ends when it is told to; should it ever end by itself, the hub says so, and is not healthy any more."""
        e = None if task.cancelled() else task.exception()
        if e is not None:
            self.ingest.last_error = f"nothing is stored any more ({type(e).__name__}: {e}); start the hub again"
            told(logging.ERROR, "journal_failed", self.ingest.last_error)

    def status(self, points_after: int = 0) -> dict[str, Any]:
        """Everything the page shows; `points_after` leaves out points it has. Called in the loop's thread."""
        return self._snapshots.take(points_after)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SAMPLE_S, self._tick)  # first: whatever becomes of this one
        self._snapshots.sample()
        self._write_control()
