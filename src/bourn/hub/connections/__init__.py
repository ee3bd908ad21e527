"""Connections carry frames between a sender's outbox and the hub's journal; chosen by URL. This file is the contract.

    await listen(url, make_link) -> Listener
        From now on every peer that connects gets a Link (an asyncio.Protocol) of its own from `make_link()`.
        ValueError: not a URL of this kind. OSError: the address is taken or not ours.
    listener.url
        The URL that senders connect to, with the port that was really taken.
    listener.close()
        Nobody new is let in; links that exist go on until they are closed.

What every connection keeps, and the one suite tests: the order of each source, at most `in_flight` readings
unacknowledged, resumption after a cut, and that a bad peer harms no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Listener(Protocol):
    """Where peers connect to."""

    url: str

    def close(self) -> None:
        """Let nobody new in."""


SCHEMES = ("tcp",)


async def listen(url: str, make_link: Callable[[], asyncio.Protocol], insecure: bool = False) -> Listener:
    """Listen at `url`. ValueError when the scheme is unknown, or it is open to others without `insecure`."""
    scheme = url.partition(":")[0]
    if scheme == "tcp":
        from bourn.hub.connections.tcp import listen_tcp

        return await listen_tcp(url, make_link, insecure)
    raise ValueError(f"there is no connection {url!r}; known: {', '.join(SCHEMES)}, as in tcp://127.0.0.1:7007")
