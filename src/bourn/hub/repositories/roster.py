"""The hub's repositories: added, removed and replaced by URL while it runs, and after its next start there again.

What was added while it ran is kept in `<journal>.repositories` (JSON, readable by its owner only: a URL may hold a
password), written anew by every change. What the command line or a configuration file names is not in it: that comes
with them at every start.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from typing import Any

from bourn._compat import files
from bourn.hub.repositories import Repository, RepositoryError, make_repository
from bourn.hub.repositories.address import without_secrets
from bourn.hub.repositories.driver import Driver, Start
from bourn.spool.sqlite import SqliteSpool

STOP_S = 5.0  # in which one that is removed may finish what it has begun
MOST = 100  # repositories at once: each has a thread


class Roster:
    """The drivers of one hub. Every method may be called from any thread; adding and removing may take seconds."""

    def __init__(self, journal: SqliteSpool) -> None:
        self._journal = journal
        self._lock = threading.Lock()  # one change at a time
        self.drivers: list[Driver] = []
        self._leaving: list[Driver] = []  # removed, and not at their end yet
        self._added: dict[str, dict[str, Any]] = {}  # by shown URL: what comes back with the next start

    def add(self, repository: Repository, start: Start = None) -> Driver | None:
        """From now on `repository` gets what is committed. What its `open` raises comes out here.

        None when it is the journal itself, which has everything already.
        """
        if self._is_journal(repository):
            return None
        with self._lock:
            return self._add(repository, start)

    def add_url(self, url: str, start: Start = None, keep: bool = False) -> Driver | None:
        """As `add`, by URL.

        With `keep` it comes back with the hub's next start, and a `start` for one that is remembered is refused
        instead of passed over. RepositoryError, OSError.
        """
        repository = make_repository(url)
        if self._is_journal(repository):
            return None
        name = repository.url
        with self._lock:
            if keep and start is not None and name in self._journal.cursors() and not self._find(name):
                raise RepositoryError(
                    f"{name} is remembered at place {self._journal.acked(name)}; without --from it goes on there, "
                    "and `bourn repositories remove URL --forget` lets it begin anew"
                )
            driver = self._add(repository, start)
            if keep:
                self._added[name] = {"url": url} if start is None else {"url": url, "from": start}
                try:
                    self._save()
                except OSError:
                    del self._added[name]
                    self._remove(driver)
                    raise
            return driver

    def remove(self, url: str, forget: bool = False) -> bool:
        """No more for that one; False if it is still in the middle of something, and ends as soon as it can.

        Its cursor is kept, unless `forget`: added again it goes on where it was. RepositoryError: there is none such.
        """
        name = without_secrets(url)
        with self._lock:
            driver = self._find(name)
            if driver is None and not (forget and name in self._journal.cursors()):
                there = ", ".join(d.repository.url for d in self.drivers) or "none"
                raise RepositoryError(f"there is no repository {name} here; there are: {there}")
            if driver is not None:
                name = driver.repository.url
                if self._added.pop(name, None) is not None:
                    self._save()
            if driver is not None:
                driver.forgotten = forget
            gone = driver is None or self._remove(driver)
            if forget:
                self._journal.forget(name)
            return gone

    def rows(self) -> list[dict[str, Any]]:
        """What there is: the status of each, and what is only remembered."""
        drivers, leaving = list(self.drivers), [d for d in self._leaving if d.alive]
        rows = [{**d.status(), "kept": d.repository.url in self._added} for d in drivers + leaving]
        here = {row["name"] for row in rows}
        newest = self._journal.last_pos()
        rows += [
            {"name": name, "state": "removed", "pos": pos, "lag": max(0, newest - pos), "last_error": None}
            for name, pos in sorted(self._journal.cursors().items())
            if name and name not in here
        ]
        return rows

    def restore(self) -> list[str]:
        """Add what was added while an earlier hub ran; returns a line for each that could not be."""
        troubles = []
        for url, start in self._saved():
            name = without_secrets(url)
            self._added[name] = {"url": url} if start is None else {"url": url, "from": start}
            if self._find(name) is None:
                try:
                    self.add_url(url, start)
                except (OSError, ValueError) as e:  # the hub comes up without it: readings have to be taken in
                    troubles.append(f"{name} could not be added again: {e}")
        return troubles

    def _add(self, repository: Repository, start: Start) -> Driver:
        self._leaving = [d for d in self._leaving if d.alive]
        if len(self.drivers) >= MOST:
            raise RepositoryError(f"there are {MOST} repositories already; remove one")
        for driver in self.drivers + self._leaving:
            if repository.keeps and _identity(driver.repository) == _identity(repository):
                doing = "is there already" if driver in self.drivers else "is still stopping; try again"
                raise RepositoryError(f"{repository.url} {doing}")
        driver = Driver(self._journal, repository, start)
        try:
            driver.start()
        except BaseException:
            repository.close()
            raise
        self.drivers.append(driver)
        return driver

    def _remove(self, driver: Driver) -> bool:
        self.drivers.remove(driver)
        gone = driver.stop(STOP_S, drain=False)
        if not gone:
            self._leaving.append(driver)
        return gone

    def _is_journal(self, repository: Repository) -> bool:
        return _identity(repository) == os.path.realpath(self._journal.path)

    def _find(self, name: str) -> Driver | None:
        return next((d for d in self.drivers if d.repository.url == name), None)

    def _path(self) -> str:
        return os.path.realpath(self._journal.path) + ".repositories"

    def _saved(self) -> list[tuple[str, Start]]:
        try:
            with open(self._path(), encoding="utf-8") as file:
                return [(row["url"], row.get("from")) for row in json.load(file)["repositories"]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise RepositoryError(f"{self._path()} is damaged ({e}); mend it or remove it") from e

    def _save(self) -> None:
        path = self._path()
        folder = os.path.dirname(path)
        handle, beside = tempfile.mkstemp(dir=folder, prefix=os.path.basename(path) + ".")  # mode 0600
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump({"repositories": list(self._added.values())}, file, indent=1)
                file.flush()
                files.sync(file)
            files.rename(beside, path)
            files.sync_folder(folder)
        except OSError:
            os.unlink(beside)
            raise


def _identity(repository: Repository) -> str:
    """Two that write to the same file are the same, however it is spelled."""
    path = getattr(repository, "path", None)
    return repository.url if path is None else os.path.realpath(path)
