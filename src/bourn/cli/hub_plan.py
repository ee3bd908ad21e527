"""A hub as a command's options describe it: checked first, then opened and started, or a word on why it cannot be."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import sys
from typing import Any

from bourn.cli.addresses import web_address
from bourn.cli.connections import BROKER
from bourn.cli.hub_config import RepositorySettings
from bourn.cli.progress import Progress, Stopped
from bourn.spool.sqlite import Limits
from bourn.spool.sqlite_file import JournalNoRoom

ROOM_S = 1.0  # between two looks whether a full disk has room for the journal to be opened


class Wrong(Exception):
    """What the user asked for cannot be done; the text says why and what to do. Exit status 2."""


class HubPlan:
    """A hub as the options describe it."""

    def __init__(
        self,
        journal: str,
        listen: list[str],
        in_flight: int,
        network_in_flight: int | None,
        csv_file: str | None,
        to: list[str] | None,
        screen: bool,
        plot: bool,
        web: str | None,
        no_web: bool,
        insecure: bool,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self.journal = journal
        self.listen = listen
        self.in_flight = in_flight
        self.network_in_flight = network_in_flight
        self.insecure = insecure
        self.require_keys = False
        self.token_file: str | None = None
        self.repositories: list[RepositorySettings] = []  # of the configuration file
        self.recordings: list[str] = []
        self.urls = [*([f"csv:{csv_file}"] if csv_file else []), *(to or []), *(["screen:"] if screen else [])]
        self.plot = plot or web is not None
        if no_web and self.plot:
            raise Wrong(f"--no-web and {'--web' if web else '--log-to-plot'} contradict each other; leave one out")
        self.web = None if no_web else web_address(web or "127.0.0.1:0", insecure)

    async def start(self, stop: asyncio.Event) -> Any:
        """The running hub; None if `stop` was set before its journal was open. Wrong."""
        from bourn.hub.control_file import kept_token
        from bourn.hub.repositories import RepositoryError, make_repository
        from bourn.hub.repositories.plot import Plot

        try:
            starts = dict.fromkeys(self.urls) | {one.url: one.start for one in self.repositories}
            repositories = [(make_repository(url), start) for url, start in starts.items()]
        except RepositoryError as e:
            raise Wrong(str(e)) from e
        self._check_addresses()
        hub = await self._open(stop)
        if hub is None:
            return None
        doing = ""
        try:
            for repository, start in repositories:
                doing = repository.url
                await asyncio.to_thread(hub.roster.add, repository, start)
            doing = f"{self.journal}.repositories"
            for trouble in await asyncio.to_thread(hub.roster.restore):
                sys.stderr.write(f"bourn: {trouble}\n")
            if self.plot:
                hub.add(Plot())
            if self.recordings:
                from bourn.hub.recorder.monitor import Monitor

                hub.monitor = Monitor(self.recordings)
            doing = ""
            await hub.start()
            if self.web:
                doing = self.token_file or ""
                token = kept_token(self.token_file) if self.token_file else None
                doing = f"{self.web[0]}:{self.web[1]}"
                await hub.serve_page(*self.web[:2], token, self.web[2])
        except (OSError, ValueError) as e:
            await hub.stop()
            raise Wrong(_remedy(e, doing)) from e
        return hub

    async def _open(self, stop: asyncio.Event) -> Any:
        """A hub over the journal, which may be long work: in a thread, so that Ctrl-C is heard.

        Where the disk has no room for opening it, it is tried again until it has.
        """
        from bourn.hub.hub import Hub
        from bourn.hub.log import told

        waiting = False
        while not stop.is_set():
            try:
                with Progress(stop.is_set) as say:
                    hub = await asyncio.to_thread(
                        Hub,
                        self.journal,
                        self.listen,
                        self.in_flight,
                        self.network_in_flight,
                        self.insecure,
                        self.require_keys,
                        limits=self.limits,
                        say=say,
                    )
            except JournalNoRoom as e:
                if not waiting:
                    told(logging.ERROR, "journal_failed", f"{e}; nobody is let in until there is room")
                waiting = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), ROOM_S)
            except Stopped:
                break
            else:
                if waiting:
                    told(logging.WARNING, "journal_recovered", "there is room again")
                return hub
        return None

    def _check_addresses(self) -> None:
        """Wrong where one of them is taken or cannot be, before a journal or another file is made in vain."""
        from bourn.hub.connections import check_free
        from bourn.hub.connections.tcp import check_port_free

        try:
            for url in self.listen:
                doing = url
                if url in ("pipe:", BROKER) or url.startswith("queue:"):
                    continue
                check_free(url, self.insecure)
            if self.web:
                doing = f"{self.web[0]}:{self.web[1]}"
                check_port_free(*self.web[:2])
        except (OSError, ValueError) as e:
            raise Wrong(_remedy(e, doing)) from e


def _remedy(e: Exception, doing: str) -> str:
    if isinstance(e, OSError):
        doing = doing or str(e.filename)
    if isinstance(e, OSError) and e.errno == errno.EADDRINUSE:
        another = "port, or 0 for a free one" if not doing.startswith(("unix:", "shm:")) else "path"
        return f"{doing} is taken by another program; choose another {another}"
    if isinstance(e, OSError):
        return f"{doing} cannot be used: {e.strerror or e}; choose another, or mend its permissions"
    return str(e)
