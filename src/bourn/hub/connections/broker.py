"""What the two connections through an MQTT broker share: paho's client, its end, and the wait at the start.

A broker that is away is a state of the connection, never a reason not to start. paho runs the connection in a thread of
its own and tries again for ever; what it says comes here through callbacks in that thread.

paho takes a message whole before it says how long it is, and MQTT 3.1.1 has no word against long ones: the protocol
allows 256 MB. So one message at a time may be as long as the broker lets it be, and no more than MESSAGE_BYTES + 1
bytes of it are kept. A broker that refuses long ones is the bound: docs/security.md.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from bourn.hub.connections.tcp import is_loopback
from bourn.hub.log import told

START_S = 5.0  # in which a broker is expected to answer at the start; after that the hub goes on trying
GOODBYE_S = 0.5  # in which the broker may hear that this hub ends
RETRY_S = 2  # the longest pause between two attempts to reach the broker
KEEPALIVE_S = 20  # after half as much again of silence the broker takes this hub for gone, and says so
MESSAGE_BYTES = 65_536  # of one message; what is longer is garbage
WAITING_BYTES = 64 << 20  # of messages that the loop has not taken yet; what comes beyond is not kept, or waits


class Address(NamedTuple):
    """Where a broker is, and who this hub is to it."""

    host: str
    port: int
    tls: bool
    user: str | None = None
    password: str | None = None
    ca: str | None = None

    def __repr__(self) -> str:  # ends up in logs
        return f"Address({self.host!r}, {self.port})"


class Waiting(Protocol):
    """A listener at a broker, as `wait_until_up` sees it."""

    url: str
    up: asyncio.Event
    last_error: str | None


def load_paho() -> Any:
    """The library, loaded on use. ValueError where it is not installed."""
    try:
        import paho.mqtt.client as paho
    except ImportError:
        raise ValueError("a hub needs paho-mqtt for MQTT: pip install 'bourn[mqtt]'") from None
    return paho


def make_client(name: str, address: Address, **options: Any) -> Any:
    """A client of paho that knows how to reach the broker, and has not begun to."""
    paho = load_paho()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, **options)
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        client.tls_set(ca_certs=address.ca)
    client.reconnect_delay_set(1, RETRY_S)
    return client


def begin(client: Any, address: Address) -> None:
    """Reach the broker, now or later, in a thread of paho's."""
    client.connect_async(address.host, address.port, KEEPALIVE_S)
    client.loop_start()


def end(client: Any) -> None:
    """Tell the broker good-bye, as far as it listens, and hear nothing more."""
    client.on_connect = client.on_disconnect = client.on_subscribe = client.on_message = client.on_connect_fail = None
    client.disconnect()
    ending = threading.Thread(target=client.loop_stop, daemon=True)
    ending.start()
    ending.join(GOODBYE_S)


def why_not_reached() -> str:
    """Why the connection that paho tries could not be made: its `on_connect_fail` is called while it handles that."""
    e = sys.exc_info()[1]
    return f"the broker is not reached: {getattr(e, 'strerror', None) or e}" if e else "the broker is not reached"


def soon(loop: asyncio.AbstractEventLoop, what: Callable[..., Any], *arguments: Any) -> bool:
    """From paho's thread: have the loop call it. False when it has ended, and with it everyone who could want it."""
    try:
        loop.call_soon_threadsafe(what, *arguments)
    except RuntimeError:
        return False
    return True


def check_encrypted(address: Address, scheme: str, insecure: bool) -> None:
    """ValueError when others could read what goes there, and nobody said that they may."""
    if not address.tls and not insecure and not is_loopback(address.host):
        safe = scheme.replace("mqtt", "mqtts")
        raise ValueError(
            f"{address.host} is another machine, and {scheme}:// does not encrypt; use {safe}://, "
            "or say --insecure if the network is yours alone"
        )


async def wait_until_up(listener: Waiting) -> None:
    """Wait START_S for the broker; when it does not answer the log says so, and it is tried again for ever."""
    try:
        await asyncio.wait_for(listener.up.wait(), START_S)
    except TimeoutError:
        if listener.last_error is None:
            listener.last_error = "no broker answers there"
            told(logging.WARNING, "broker", f"{listener.url}: no broker answers there; trying again", url=listener.url)
