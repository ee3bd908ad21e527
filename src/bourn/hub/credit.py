"""At most N readings unacknowledged on a whole network: credit, given first come first served."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Borrower(Protocol):
    """Who may be given credit: a link."""

    def grant(self, n: int) -> None:
        """Take `n` more."""


class CreditPool:
    """`limit` readings of credit, lent to links; the sum of what is lent never exceeds it.

    A link asks with `want`, uses what it is granted for sending, and the ingest gives it back when it acknowledges.
    Who got less than it wanted goes to the end of the queue, so that a hungry link does not starve the others.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"at least 1 reading must be allowed in flight, not {limit}")
        self.limit = limit
        self.free = limit
        self.peak = 0  # the most that was ever lent at once
        self._wants: dict[Borrower, int] = {}
        self._queue: deque[Borrower] = deque()

    @property
    def lent(self) -> int:
        """How much is out: granted and not yet acknowledged or given back."""
        return self.limit - self.free

    def want(self, link: Borrower, n: int) -> None:
        """`link` has `n` more readings waiting."""
        if link in self._wants:
            self._wants[link] += n
        else:
            self._wants[link] = n
            self._queue.append(link)
        self._grant()

    def wanted(self, link: Borrower) -> int:
        """What `link` has asked for and not got yet."""
        return self._wants.get(link, 0)

    def give_back(self, n: int) -> None:
        """`n` readings are acknowledged, or were not sent after all."""
        self.free += n
        self._grant()

    def forget(self, link: Borrower) -> None:
        """`link` wants nothing any more; what it was lent has to be given back on its own."""
        if self._wants.pop(link, None) is not None:
            self._queue.remove(link)

    def _grant(self) -> None:
        while self.free and self._queue:
            link = self._queue.popleft()
            wanted = self._wants[link]
            n = min(self.free, wanted)
            self.free -= n
            if wanted > n:
                self._wants[link] = wanted - n
                self._queue.append(link)
            else:
                del self._wants[link]
            self.peak = max(self.peak, self.lent)
            link.grant(n)
