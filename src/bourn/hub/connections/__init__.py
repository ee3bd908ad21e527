"""Connections carry frames between a sender's outbox and the hub's journal; chosen by URL. This file is the contract.

    await listen(url, make_link, insecure) -> Listener
        From now on every peer that connects gets a Link (an asyncio.Protocol) of its own from `make_link()`.
        ValueError: not a URL of this kind. OSError: the address is taken or not ours.
    check_free(url, insecure)
        Raises what `listen` would, and takes nothing: asked before anything is written anywhere.
    open_to_others(url) -> bool
        True if whoever connects may be somebody else, on another machine; those have to prove who they are. A
        connection that is encrypted says so; one that is not is refused there without `insecure`.
    listener.url
        The URL that senders connect to, with the port that was really taken.
    await listener.invite() -> Invitation
        What a sensor that is about to be started needs: a URL, and descriptors or queues that it has to inherit.
    listener.close()
        Nobody new is let in; links that exist go on until they are closed.
    listener.status()
        Only where there is more to say than the URL: `state`, `last_error`, `counters` by name, ...

What every connection keeps, and the one suite tests: the order of each source, at most `in_flight` readings
unacknowledged, resumption after a cut, and that a bad peer harms no other. A driver is a file here with `listen` and
`check_free`; `bourn.device.connections` has the other ends.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bourn import process_queue


class Invitation:
    """Where a sensor that is about to be started connects to."""

    def __init__(
        self,
        url: str,
        descriptors: tuple[int, ...] = (),
        close: Callable[[], None] | None = None,
        queues: process_queue.Pair | None = None,
    ) -> None:
        self.url = url
        self.descriptors = descriptors
        self.queues = queues  # a process inherits them where multiprocessing starts it
        self._close = close

    def close(self) -> None:
        """A process has inherited the descriptors, or there is none: close them here. A thread closes its own."""
        if self._close is not None:
            self._close()


class Listener(Protocol):
    """Where peers connect to."""

    url: str

    async def invite(self) -> Invitation:
        """What a sensor that is about to be started needs."""

    def close(self) -> None:
        """Let nobody new in."""


MakeLink = Callable[..., asyncio.Protocol]  # a Link, or of the class that is given

# scheme: (file, how a URL looks)
DRIVERS = {
    "tcp": ("tcp", "tcp://127.0.0.1:7007"),
    "tls": ("tls", "tls://0.0.0.0:7443?cert=hub.pem&key=hub.key"),
    "unix": ("unix", "unix:bourn.sock"),
    "pipe": ("pipe", "pipe:"),
    "queue": ("thread_queue", "queue:hub"),
    "mpqueue": ("process_queue", "mpqueue:"),
    "shm": ("shared_memory", "shm:bourn.sock"),
    "mqtt": ("mqtt", "mqtt://127.0.0.1:1883/bourn"),
    "mqtts": ("mqtt", "mqtts://host/bourn?ca=ca.pem"),
    "mqtt+json": ("mqtt_json", "mqtt+json://host/sensors/{source}/{sensor}?value=temperature"),
    "mqtts+json": ("mqtt_json", "mqtts+json://host/{source}/{sensor}?value=temperature"),
}


def driver(url: str) -> Any:
    """The module for this URL, loaded on use; ValueError when there is none."""
    name = url.partition(":")[0]
    if name not in DRIVERS:
        known = ", ".join(DRIVERS[k][1] for k in sorted(DRIVERS))
        raise ValueError(f"there is no connection {url!r}; a hub can listen at URLs like: {known}")
    return importlib.import_module(f"bourn.hub.connections.{DRIVERS[name][0]}")


def open_to_others(url: str) -> bool:
    """True if whoever connects may be somebody else, who has to prove the key of its source."""
    return bool(getattr(driver(url), "open_to_others", lambda url: False)(url))


def check_free(url: str, insecure: bool = False) -> None:
    """ValueError or OSError where `listen(url)` would raise it; nothing is taken, made or written."""
    driver(url).check_free(url, insecure)


async def listen(url: str, make_link: MakeLink, insecure: bool = False) -> Listener:
    """Listen at `url`. ValueError when the scheme is unknown, or it is open to others without `insecure`."""
    listener: Listener = await driver(url).listen(url, make_link, insecure)
    return listener
