"""The connection inside one process, from a sensor's thread to the hub's: `queue:NAME`."""

import errno
import select

from bourn import wire
from bourn.local_queue import Bell, connect


def name_of(url: str) -> str:
    """The name in `queue:NAME`; ValueError when it is none."""
    name = url.partition(":")[2]
    if not wire.source_ok(name):
        raise ValueError("a queue's URL looks like queue:hub (1 to 64 of A-Z a-z 0-9 _ . -), not %r" % url)
    return name


def check(url: str) -> str:
    """`url` itself; ValueError when it names no queue."""
    name_of(url)
    return url


def open_link(url: str):
    """A channel to the hub of this process that listens at `url`. OSError when there is none."""
    return Queue(connect(name_of(url)))


class Queue:
    """A channel over two ways inside this process."""

    def __init__(self, end) -> None:
        self._end = end
        self.polled = Bell()
        end.into.ring = end.out.ring_back = self.polled.ring
        self.polled.ring()  # what came before there was a bell

    def interest(self, writing: bool) -> int:
        """One bell for both: something came, or there is room again."""
        return select.POLLIN

    def send(self, data) -> int:
        """Give the hub what there is room for."""
        return self._end.out.put(data)

    def recv(self, n: int) -> bytes:
        """All that the hub has said."""
        self.polled.clear()
        ended = self._end.into.ended  # asked for first: what is in it comes before its end
        data = b"".join(self._end.into.take())
        if ended:
            self.polled.ring()  # for the end, which is heard after this; nobody else would ring for it
        elif not data:
            raise OSError(errno.EAGAIN, "empty")
        return data

    def close(self) -> None:
        """The hub takes what was given to it, and no more."""
        self._end.out.end()
        self._end.into.end()
        self.polled.close()
