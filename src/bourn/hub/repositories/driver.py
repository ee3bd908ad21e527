"""Drives one repository: a thread, a follower of the journal, a back-off. A slow or broken one delays only itself."""

from __future__ import annotations

import logging
import threading
from typing import Any

from bourn.hub.log import redact, told
from bourn.hub.repositories import Repository
from bourn.spool.follower import Follower
from bourn.spool.sqlite import PAGE, SqliteSpool

BACKOFF_S = (0.1, 0.5, 2.0, 10.0, 30.0)  # pauses after failures; the last one repeats


class Driver:
    """Gives `repository` what the journal commits, from now on, or from where it stood when it was known before.

    `start` raises what the repository's first `open` raises, so that a wrong path is told at once; later failures are
    tried again for ever, and shown in `last_error`.
    """

    def __init__(self, journal: SqliteSpool, repository: Repository) -> None:
        self.repository = repository
        self._journal = journal
        self._follower = Follower(journal, repository.url if repository.keeps else None)
        self.last_error: str | None = None
        self.written = 0  # readings and gaps it took
        self.retries = 0  # attempts that failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bourn-{repository.url}", daemon=True)

    def start(self) -> None:
        """Open the repository and begin. OSError and the like when it cannot be opened."""
        self._open()
        if self._follower.at is None:
            now = self._journal.last_pos()
            if self.repository.keeps:
                self._journal.ack(now, self.repository.url, self.repository.write([]))
            self._follower.rewind(now)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Let it take what is committed, then close it; False if that took longer than `timeout_s`."""
        self._stop.set()
        self._journal.wake()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def lag(self) -> int:
        """Places between what is committed and what it has."""
        return max(0, self._journal.last_pos() - (self._follower.at or 0))

    def status(self) -> dict[str, Any]:
        """For the page."""
        return {
            "name": redact(self.repository.url),
            "state": "retrying" if self.last_error else "up",
            "pos": self._follower.at or 0,
            "lag": self.lag,
            "written": self.written,
            "retries": self.retries,
            "last_error": self.last_error,
        }

    def _tell(self, level: int, event: str, text: str) -> None:
        told(level, event, f"repository {self.repository.url}: {text}", repository=self.repository.url)

    def _open(self) -> None:
        self.repository.open(self._journal.mark(self.repository.url))

    def _run(self) -> None:
        failures = 0
        while True:
            try:
                if failures:
                    self._open()
                entries = self._follower.read(PAGE)
                if entries:
                    mark = self.repository.write(entries)
                    self._follower.sent(entries[-1][0], len(entries))
                    self._follower.ack(entries[-1][0], mark if self.repository.keeps else None)
                    self.written += len(entries)
                if failures:
                    self._tell(logging.WARNING, "repository_recovered", "goes on")
                failures = 0
                self.last_error = None
            except Exception as e:  # the edge of a thread: it is told, and tried again
                self.last_error = redact(f"{type(e).__name__}: {e}")
                self.retries += 1
                if not failures:
                    self._tell(logging.ERROR, "repository_failed", self.last_error)
                if self._stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]):
                    break  # what it has not taken is kept in the journal, if it keeps a cursor there
                failures += 1
            else:
                if not entries:
                    if self._stop.is_set():
                        break
                    self._journal.wait(self._follower.at, self._stop.is_set)
        try:
            self.repository.close()
        except Exception as e:  # the edge of a thread: whoever stopped it looks here
            self.last_error = f"{type(e).__name__}: {e}"
