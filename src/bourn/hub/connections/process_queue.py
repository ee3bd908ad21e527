"""The connection through queues of multiprocessing, that sensors inherit from the hub that starts them: `mpqueue:`.

As with `pipe:` there is no address, and a sensor that is started again gets new queues.
"""

from __future__ import annotations

from bourn import process_queue
from bourn.hub.connections import Invitation, MakeLink
from bourn.hub.connections.thread_queue import QueueTransport


class ProcessQueueListener:
    """Where sensors' queues are made."""

    def __init__(self, make_link: MakeLink) -> None:
        self._make_link = make_link
        self._closed = False
        self.url = "mpqueue:"

    async def invite(self) -> Invitation:
        """A new pair; its link is there already, and waits for the HELLO."""
        if self._closed:
            raise OSError("the hub lets nobody new in")
        pair = process_queue.make_pair()
        process_queue.leave(pair)
        QueueTransport(process_queue.attach(pair.up, pair.down), "mpqueue", self._make_link())
        return Invitation(f"mpqueue:{pair.number}", (), lambda: process_queue.forget(pair.number), pair)

    def close(self) -> None:
        """Make no more."""
        self._closed = True


def check_free(url: str, insecure: bool) -> None:
    """ValueError when there is more than `mpqueue:`."""
    if url != "mpqueue:":
        raise ValueError(f"queues between processes have no address: `mpqueue:` is all there is to say, not {url!r}")


async def listen(url: str, make_link: MakeLink, insecure: bool) -> ProcessQueueListener:
    """Make queues for sensors that this process starts."""
    check_free(url, insecure)
    return ProcessQueueListener(make_link)
