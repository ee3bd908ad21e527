"""The connection through an MQTT broker: `mqtt://broker:port/TOPIC`, or `mqtts://` with a verified broker (paho).

A link is a pair of topics, TOPIC/up/LINK and TOPIC/down/LINK; docs/formats.md says what is in them. The broker's word
counts for nothing: readings are acknowledged by the hub, after the commit, as over every other connection. The hub's
own session is clean, so nothing that the broker kept from before is taken, and messages it retained are passed over.

Of two hubs at one topic the newer serves, the older waits until that one has gone: each says so at TOPIC/hub when it
comes, and the broker says it (its will) when it goes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
from collections import Counter, deque
from typing import Any

from bourn.hub.connections import Invitation, MakeLink
from bourn.hub.connections.broker import (
    MESSAGE_BYTES,
    WAITING_BYTES,
    Address,
    begin,
    check_encrypted,
    end,
    load_paho,
    make_client,
    soon,
    wait_until_up,
    why_not_reached,
)
from bourn.hub.connections.tcp import is_loopback
from bourn.hub.log import told

MAX_LINKS = 10_000  # at once; who comes beyond is told to go
WAITING_MESSAGES = 20_000  # that the loop has not taken yet; one more is dropped, which ends its link
HELD_MESSAGES = 1000  # of one link that takes nothing in for a while; one more ends it
COUNTED = ("messages", "duplicates", "holes", "overrun", "retained", "garbage", "strangers")
LINK = re.compile(r"[0-9a-f]{16}")
URL = re.compile(
    r"(?P<scheme>mqtts?)://(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/]*))?@)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[^:@/?\[\]]+)(?::(?P<port>\d{1,5}))?/(?P<topic>[^+#$? ]+)(?:\?ca=(?P<ca>[^&]+))?"
)


class Transport(asyncio.Transport):
    """One link: what the Link writes goes to its topic."""

    def __init__(self, listener: MqttListener, link: str, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": listener.url})
        self.expected = 0  # the number of the next message
        self.protocol = protocol
        self._listener = listener
        self._link = link
        self._sent = 0
        self._paused = False
        self._held: list[bytes] = []  # what came while it was paused
        self._closing = False

    def take(self, payload: bytes) -> None:
        """A message has come."""
        number = int.from_bytes(payload[:4], "big")
        counters = self._listener.counters
        if number < self.expected:
            counters["duplicates"] += 1
        elif number > self.expected:
            counters["holes"] += 1
            self.abort()
        elif len(self._held) >= HELD_MESSAGES or (self._paused and self._listener.held_bytes > WAITING_BYTES):
            counters["overrun"] += 1
            self.abort()
        else:
            self.expected += 1
            if self._paused:
                self._held.append(payload[4:])
                self._listener.held_bytes += len(payload)
            else:
                self.protocol.data_received(payload[4:])

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, in a message of their own."""
        if not self._closing:
            self._listener.publish(self._link, self._sent.to_bytes(4, "big") + bytes(data))
            self._sent += 1

    def get_write_buffer_size(self) -> int:
        """Nothing waits here: what a sender may have unanswered is bounded by its credit."""
        return 0

    def can_write_eof(self) -> bool:
        """A link ends in both directions at once."""
        return False

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return self._closing

    def pause_reading(self) -> None:
        """Take nothing more in, but keep some of it."""
        self._paused = True

    def resume_reading(self) -> None:
        """Take in what came meanwhile, and go on."""
        self._paused = False
        for data in self._let_go():
            if not self._closing:
                self.protocol.data_received(data)

    def close(self) -> None:
        """Tell the sender that it is over."""
        if not self._closing:
            self._listener.publish(self._link, b"")
            self.lost(None)

    abort = close

    def lost(self, error: Exception | None) -> None:
        """It is over, and the sender knows, or can't be told."""
        if not self._closing:
            self._closing = True
            self._let_go()
            self._listener.forget(self._link)
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)

    def _let_go(self) -> list[bytes]:
        held, self._held = self._held, []
        self._listener.held_bytes -= sum(len(data) + 4 for data in held)
        return held


class MqttListener:
    """This hub at its topic. `counters`: what was not taken, and why."""

    def __init__(self, url: str, make_link: MakeLink) -> None:
        address, parts = address_of(url), _parts(url)
        self._full_url = url
        self._base = parts["topic"]
        self._me = secrets.token_hex(8)
        self._make_link = make_link
        self._loop = asyncio.get_running_loop()
        self._links: dict[str, Transport] = {}
        self._serving = False
        self._closed = False
        self._rival: str | None = None  # the newer hub that serves instead
        self._messages: deque[tuple[str, bytes, bool]] = deque()  # appended by paho's thread, taken by the loop's
        self._came = self._took = 0  # bytes of them: the first is written by paho's thread, the second by the loop's
        self.held_bytes = 0  # of links that take nothing in for a while
        self._scheduled = False
        self.up = asyncio.Event()
        self.last_error: str | None = None
        self.counters = Counter(dict.fromkeys(COUNTED, 0))
        self.url = f"{parts['scheme']}://{parts['host']}:{address.port}/{self._base}"
        self._client: Any = None
        self._client = client = make_client(f"bourn-hub-{self._me}", address)
        client.will_set(f"{self._base}/hub", f"{self._me} gone")
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message
        client.on_connect_fail = self._on_connect_fail
        begin(client, address)

    async def invite(self) -> Invitation:
        """The same address for everyone."""
        return Invitation(self._full_url)

    def status(self) -> dict[str, Any]:
        """For the page and `bourn status`."""
        return {
            "state": "up" if self._serving else "waiting" if self._rival else "down",
            "last_error": self.last_error,
            "sources": len(self._links),
            "counters": dict(self.counters),
        }

    def close(self) -> None:
        """Let nobody new in; when the last link has ended the broker is told good-bye."""
        self._closed = True
        self._part()

    def _part(self) -> None:
        client = self._client
        if self._closed and not self._links and client is not None:
            self._client = None
            if self._serving:
                client.publish(f"{self._base}/hub", f"{self._me} gone")
            end(client)

    # -- paho's thread

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._soon(self._trouble, str(reason))
        else:
            client.subscribe([(f"{self._base}/up/+", 0), (f"{self._base}/hub", 0)])

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self._soon(self._trouble, f"the broker refuses: {refused[0]}") if refused else self._soon(self._arrived)

    def _on_connect_fail(self, client: Any, userdata: Any) -> None:
        self._soon(self._trouble, why_not_reached())

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._soon(self._trouble, f"the broker is gone: {reason}")

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        payload = message.payload[: MESSAGE_BYTES + 1]  # so much of it is kept, and told to be too long
        size = len(message.topic) + len(payload)
        if len(self._messages) >= WAITING_MESSAGES or self._came - self._took > WAITING_BYTES:
            self.counters["overrun"] += 1
            return
        self._came += size
        self._messages.append((message.topic, payload, message.retain))
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._take_waiting)

    def _soon(self, what: Any, *arguments: Any) -> None:
        self._closed = not soon(self._loop, what, *arguments) or self._closed

    # -- the loop's thread

    def publish(self, link: str, payload: bytes) -> None:
        """Send a message down a link."""
        if self._client is not None:
            self._client.publish(f"{self._base}/down/{link}", payload)

    def forget(self, link: str) -> None:
        """A link has ended."""
        self._links.pop(link, None)
        self._part()

    def _arrived(self) -> None:
        self.last_error = None
        self._serve()

    def _serve(self) -> None:
        """Say that this hub serves from now on: senders open their links anew, and an older hub waits."""
        self._rival = None
        self._serving = True
        if self._client is not None:
            self._client.publish(f"{self._base}/hub", self._me)

    def _trouble(self, why: str) -> None:
        if why != self.last_error and not self._closed:
            told(logging.WARNING, "broker", f"{self.url}: {why}; trying again", url=self.url)
        self.last_error = why
        self._drop_links(ConnectionResetError(why))

    def _drop_links(self, error: Exception | None) -> None:
        self._serving = False
        for transport in list(self._links.values()):
            transport.lost(error)

    def _take_waiting(self) -> None:
        self._scheduled = False
        messages = self._messages
        for _ in range(len(messages)):
            topic, payload, retained = messages.popleft()
            self._took += len(topic) + len(payload)
            self.counters["messages"] += 1
            if retained:  # of another time
                self.counters["retained"] += 1
            elif topic == f"{self._base}/hub":
                self._take_rival(payload)
            elif self._serving and not self._closed:
                self._take(topic.rpartition("/")[2], payload)

    def _take_rival(self, payload: bytes) -> None:
        who, _, gone = payload.decode("ascii", "replace").partition(" ")
        if who == self._me:
            self.up.set()  # now nobody who comes from here on hears that, and takes it for a reason to go
        if who == self._me or not LINK.fullmatch(who):
            return
        if not gone:
            told(logging.WARNING, "rival", f"{self.url}: another hub serves there; this one waits", url=self.url)
            self._rival = who
            self._drop_links(None)
        elif who == self._rival and not self._closed:
            self._loop.call_later(random.uniform(0, 0.5), self._succeed, who)  # others may wait as well

    def _succeed(self, who: str) -> None:
        if self._rival == who and not self._closed:
            self._serve()

    def _take(self, link: str, payload: bytes) -> None:
        transport = self._links.get(link)
        if not payload:
            if transport is not None:
                transport.lost(None)
        elif not LINK.fullmatch(link) or not 4 < len(payload) <= MESSAGE_BYTES:
            self.counters["garbage"] += 1
            if transport is not None:
                transport.abort()
        elif transport is not None:
            transport.take(payload)
        elif payload[:4] != b"\0\0\0\0" or len(self._links) >= MAX_LINKS:
            self.counters["strangers"] += 1  # a link of another time (before this hub came), or one too many
            self.publish(link, b"")
        else:
            protocol = self._make_link()
            transport = self._links[link] = Transport(self, link, protocol)
            protocol.connection_made(transport)
            transport.take(payload)


def _parts(url: str) -> dict[str, Any]:
    match = URL.fullmatch(url)
    if match is None or not 0 < int(match["port"] or 1) < 65536:
        raise ValueError("a broker's URL looks like mqtt://127.0.0.1:1883/bourn, or mqtts://host/bourn?ca=ca.pem")
    return match.groupdict()


def address_of(url: str) -> Address:
    """Where the broker is. ValueError."""
    parts = _parts(url)
    tls = parts["scheme"] == "mqtts"
    port = int(parts["port"] or (8883 if tls else 1883))
    return Address(parts["host"].strip("[]"), port, tls, parts["user"], parts["password"], parts["ca"])


def open_to_others(url: str) -> bool:
    """True if the broker is elsewhere: whoever may publish there may be somebody else."""
    return not is_loopback(address_of(url).host)


def check_free(url: str, insecure: bool) -> None:
    """ValueError when `url` is no broker's, when paho is missing, or others could read what goes there."""
    load_paho()
    check_encrypted(address_of(url), "mqtt", insecure)


async def listen(url: str, make_link: MakeLink, insecure: bool) -> MqttListener:
    """Serve at `url`; when the broker does not answer at once the hub goes on trying, and its log says so."""
    check_free(url, insecure)
    listener = MqttListener(url, make_link)
    await wait_until_up(listener)
    return listener
