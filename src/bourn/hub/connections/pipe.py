"""The connection over pipes that sensors inherit from the hub that starts them: `pipe:`.

Nobody else can get in: there is no address. A pipe is two-way (a socket pair, as `multiprocessing.Pipe` makes); the end
of a sensor's process, however it comes, is the end of its pipe, and it gets a new one when it is started again.
"""

from __future__ import annotations

import asyncio
import os
import socket

from bourn.hub.connections import Invitation, MakeLink


class PipeListener:
    """Where sensors' pipes are made."""

    def __init__(self, make_link: MakeLink) -> None:
        self._make_link = make_link
        self._closed = False
        self.url = "pipe:"

    async def invite(self) -> Invitation:
        """A new pipe; its link is there already, and waits for the HELLO."""
        if self._closed:
            raise OSError("the hub lets nobody new in")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)  # here, because MicroPython cannot say it of a descriptor
        await asyncio.get_running_loop().connect_accepted_socket(self._make_link, ours)
        fd = theirs.detach()
        return Invitation(f"pipe:{fd}", (fd,), lambda: os.close(fd))

    def close(self) -> None:
        """Make no more."""
        self._closed = True


def check_free(url: str, insecure: bool) -> None:
    """ValueError when there is more than `pipe:`."""
    if url != "pipe:":
        raise ValueError(f"pipes have no address: `pipe:` is all there is to say, not {url!r}")


async def listen(url: str, make_link: MakeLink, insecure: bool) -> PipeListener:
    """Make pipes for sensors that this process starts."""
    check_free(url, insecure)
    return PipeListener(make_link)
