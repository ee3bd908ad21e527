"""Foreign devices that publish plain JSON to an MQTT broker, read by a template (json_template.py).

Every source that a topic names becomes a link of its own beside the others: it has their bounds, and numbers that this
hub gives, in an epoch of this run. The broker gets its acknowledgement (QoS 1) when the journal has committed. So what
was published with QoS 1 arrives at least once: the session is kept by the broker while this hub is away, and what was
not acknowledged comes again; where the template says where a message has its id, it is stored once all the same, as far
as this run remembers. A message that cannot be read is never in the way of others: it goes to the quarantine, or
is refused and counted where its topic names no source that may write.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from bourn.hub.connections import Invitation, MakeLink
from bourn.hub.connections.broker import (
    MESSAGE_BYTES,
    RETRY_S,
    begin,
    check_encrypted,
    end,
    load_paho,
    make_client,
    soon,
    wait_until_up,
    why_not_reached,
)
from bourn.hub.connections.json_template import Refusal, Template
from bourn.hub.link import Link
from bourn.hub.log import told

if TYPE_CHECKING:
    from bourn.hub.ingest import Ingest

REMEMBERED = 2000  # ids of one source's latest messages: more than can be on their way from one device and to one hub
MAX_DEVICES = 10_000  # sources remembered at once; of those with nothing under way the longest silent one goes
COUNTED = (  # names of what is counted, so that all of them are there from the start
    "messages", "at_most_once", "retained", "repeated", "duplicates", "held", "quarantined", "lost_sessions",
    "refused_name", "refused_taken", "refused_key", "refused_full",
)  # fmt: skip


_client_ids: set[str] = set()  # of this process: a broker ends the older of two clients of one name


class _Message:
    """What came, until it is acknowledged."""

    __slots__ = ("connection", "dup", "mid", "payload", "qos", "retain", "topic")

    def __init__(self, message: Any, connection: int) -> None:
        self.topic: str = message.topic
        self.payload: bytes = message.payload[: MESSAGE_BYTES + 1]  # so much of it is kept, and told to be too long
        self.mid: int = message.mid
        self.qos: int = message.qos
        self.dup: bool = message.dup
        self.retain: bool = message.retain
        self.connection = connection  # a number that is not acknowledged on another: it may mean something else there


class DeviceLink(Link):
    """One foreign source, as the ingest and the page see it."""

    __slots__ = ("_known", "_listener", "_taken", "_waiting")

    def __init__(self, ingest: Ingest, trusted: bool = True) -> None:
        super().__init__(ingest, trusted)
        self._listener: JsonListener | None = None
        # (messages that end with it: none if more follows; reading or (reason, raw) for the quarantine)
        self._waiting: deque[tuple[tuple[_Message, ...], tuple[Any, ...]]] = deque()
        self._taken: deque[tuple[int, _Message]] = deque()  # (the number of its last reading, message)
        self._known: dict[Any, None] = {}  # (sensor, id) of the latest messages, oldest first

    def begin(self, listener: JsonListener, source: str, epoch: str) -> None:
        """From now on it is the link of `source`. Refusal."""
        ingest = self.ingest
        if not ingest.lets_in(source, self.trusted):
            raise Refusal("key", f"{source} has a key, and JSON from a topic proves none")
        known = ingest.sources.get(source)
        if known is not None and known.link is not None:
            raise Refusal("taken", f"{source} is connected in another way")
        self.stream = ingest.journal.stream(source, epoch)  # first: where it cannot be asked, nothing has begun
        self.peer, self.runtime, self._listener = listener.url, "JSON", listener
        if not ingest.opened(self):
            raise Refusal("full", "there are as many links as there may be")
        self.source = source
        self.credit = 0 if ingest.pool else ingest.in_flight
        ingest.greeted(self)

    def put(self, message: _Message, entries: list[tuple[Any, ...]]) -> None:
        """Take the readings of a message, as far as there is credit; the others wait."""
        self.heard = time.monotonic()
        last = len(entries) - 1
        self._waiting.extend(((message,) if i == last else (), entry) for i, entry in enumerate(entries))
        self._go_on()

    def is_new(self, message: _Message, name: tuple[str, Any]) -> bool:
        """Whether this is the first message of that name; another is acknowledged when the first is on disk."""
        known = self._known
        if name not in known:
            known[name] = None
            if len(known) > REMEMBERED:
                del known[next(iter(known))]
            return True
        stream = self.stream
        assert stream is not None and self._listener is not None
        if self._waiting:
            messages, entry = self._waiting[-1]
            self._waiting[-1] = ((*messages, message), entry)
        elif stream.committed < stream.last:
            self._taken.append((stream.last, message))
        else:
            self._listener.done(message)
        return False

    @property
    def trouble(self) -> str | None:
        """Why nothing can come of it for now: its broker is away."""
        return self._listener.last_error if self._listener is not None else None

    def is_idle(self) -> bool:
        """Nothing of it is under way."""
        return not self._waiting and not self._taken

    def _go_on(self) -> None:
        pool = self.ingest.pool
        if not self.ingest.held and not self.closed:
            self._take_in()
            wanted = len(self._waiting) - (pool.wanted(self) if pool else 0)
            if pool and wanted > 0:
                pool.want(self, wanted)  # grants at once what is free

    def _take_in(self) -> None:
        """Number as many readings as there is credit for, and hand them to the ingest."""
        stream = self.stream
        assert stream is not None
        rows: list[Any] = []
        size = 0
        while self._waiting and self.credit > 0:
            messages, entry = self._waiting.popleft()
            self._spend(1)
            self.in_flight += 1
            seq = stream.last + len(rows) + 1
            if len(entry) == 3:
                rows.append((seq, *entry))
            else:
                self._hand_over(rows, size)
                rows, size = [], 0
                self.ingest.take_poison(self, stream, seq, *entry)
            for message in messages:
                size += len(message.payload)
                self._taken.append((seq, message))
        self._hand_over(rows, size)

    def _hand_over(self, rows: list[Any], size: int) -> None:
        if rows:
            assert self.stream is not None
            self.ingest.take(self, self.stream, rows, rows[-1][0], len(rows), False, size)

    # -- what the ingest says

    def grant(self, n: int) -> None:
        """There is credit for `n` more."""
        super().grant(n)
        if not self.ingest.held:
            self._take_in()

    def acknowledge(self, stream: Any, readings: int) -> None:
        """What is on disk is acknowledged to the broker."""
        super().acknowledge(stream, readings)
        while self._taken and self._taken[0][0] <= stream.committed:
            _, message = self._taken.popleft()
            if self._listener is not None:
                self._listener.done(message)
        self._go_on()

    def refuse(self, code: str, text: str) -> None:
        """It may not go on: its name belongs to another."""
        if not self.closed:
            self.closed = True
            self.ingest.refused(self, code, text)
            asyncio.get_running_loop().call_soon(self._end)

    def close(self) -> None:
        """The hub ends, or needs the place; what was not taken comes again another time."""
        if not self.closed:
            self.closed = True
            self._end()

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        self.ingest.lost(self, None)
        if self._listener is not None:
            self._listener.gone(self, [message for messages, _ in waiting for message in messages])

    def pause(self) -> None:
        """Nothing to do: `held` is looked at."""

    def resume(self) -> None:
        """After `pause`."""
        self._go_on()

    def check(self, now: float) -> None:
        """Silence is a device's own affair."""


class JsonListener:
    """This hub at one template. `counters`: what came, and what was not taken, and why."""

    def __init__(self, url: str, make_link: MakeLink) -> None:
        self._template = template = Template(url)
        self._make_link = make_link
        known = make_link(DeviceLink)
        assert isinstance(known, DeviceLink)
        self._ingest = known.ingest
        if not known.trusted:
            raise ValueError(f"{template.url}: devices that publish JSON can prove no key; leave --require-keys out")
        self._loop = asyncio.get_running_loop()
        self._epoch = secrets.token_hex(8)
        self._devices: dict[str, DeviceLink] = {}  # the longest silent one first
        self._under_way: dict[int, _Message] = {}  # by the number that the broker gave it
        self._messages: deque[_Message] = deque()  # appended by paho's thread, taken by the loop's
        self._scheduled = False
        self._room = threading.Semaphore(template.window)
        self._lock = threading.Lock()  # an acknowledgement belongs to the connection that its message came over
        self._connection = 0
        self._connected = False
        self._closed = False
        self.up = asyncio.Event()
        self.url = template.url
        self.last_error: str | None = None
        self.last_refusal: str | None = None
        self.counters = Counter(dict.fromkeys(COUNTED, 0))
        self._name = _client_id(f"{self._ingest.journal.hub} {template.filter}")
        self._client: Any = None
        self._client = client = make_client(self._name, template.broker, clean_session=False, manual_ack=True)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message
        client.on_connect_fail = self._on_connect_fail
        begin(client, template.broker)
        _client_ids.add(self._name)

    async def invite(self) -> Invitation:
        """Sensors of ours do not come this way."""
        raise ValueError(f"{self.url} is for foreign devices; let Bourn's own sensors use another connection")

    def status(self) -> dict[str, Any]:
        """For the page and `bourn status`."""
        return {
            "state": "up" if self.up.is_set() and self.last_error is None else "down",
            "last_error": self.last_error,
            "last_refusal": self.last_refusal,
            "sources": len(self._devices),
            "unacknowledged": len(self._under_way),
            "window": self._template.window,
            "counters": dict(self.counters),
        }

    def close(self) -> None:
        """Take nothing more; when what was taken is acknowledged the broker is told good-bye."""
        self._closed = True
        self._room.release()  # paho's thread may stand there
        self._part()

    def _part(self) -> None:
        client = self._client
        if self._closed and not self._devices and client is not None:
            self._client = None
            _client_ids.discard(self._name)
            end(client)

    # -- paho's thread

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._soon(self._trouble, str(reason))
            return
        if self._connected and not flags.session_present:
            self.counters["lost_sessions"] += 1
            told(logging.WARNING, "session", f"{self.url}: the broker has forgotten what it kept for this hub")
        self._connected = True
        client.subscribe(self._template.filter, 1)

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self._soon(self._trouble, f"the broker refuses: {refused[0]}" if refused else None)

    def _on_connect_fail(self, client: Any, userdata: Any) -> None:
        self._soon(self._trouble, why_not_reached())

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._lock:
            self._connection += 1
        self._soon(self._trouble, f"the broker is gone: {reason}")

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        """While the window is full nothing is read: the broker keeps what is published."""
        if not self._room.acquire(blocking=False):
            self.counters["held"] += 1
            self._room.acquire()
        if self._closed:
            self._room.release()
            return
        self._messages.append(_Message(message, self._connection))
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._take_waiting)

    def _soon(self, what: Any, *arguments: Any) -> None:
        self._closed = not soon(self._loop, what, *arguments) or self._closed

    # -- the loop's thread

    def _trouble(self, why: str | None) -> None:
        if why is None:
            self.up.set()
        elif why != self.last_error and not self._closed:
            told(logging.WARNING, "broker", f"{self.url}: {why}; trying again", url=self.url)
        self.last_error = why

    def _take_waiting(self) -> None:
        self._scheduled = False
        for _ in range(len(self._messages)):
            message = self._messages.popleft()
            if self._closed:  # not acknowledged: it comes again
                self._room.release()
            else:
                try:
                    self._take(message)
                except Exception as e:  # the journal cannot be asked, say: nothing is passed over, and none goes before
                    self._messages.appendleft(message)
                    self._trouble(why := f"{type(e).__name__}: {e}")
                    self._scheduled = True
                    self._loop.call_later(RETRY_S, self._take_again, why)
                    return
                self.counters["messages"] += 1

    def _take_again(self, why: str) -> None:
        if self.last_error == why:
            self.last_error = None
        self._take_waiting()

    def _take(self, message: _Message) -> None:
        if message.qos == 0:
            self.counters["at_most_once"] += 1
        elif self._repeats(message):
            self.counters["repeated"] += 1
            self._room.release()
            return
        else:
            self._under_way[message.mid] = message
        if message.retain:  # of another time: it would be stored again at every start
            self.counters["retained"] += 1
            self.done(message)
            return
        try:
            source, sensor = self._template.names(message.topic)
            device = self._device(source)
        except Refusal as e:
            self._refuse(message, e)
            return
        identity, entries = None, list[Any]()
        try:
            identity, entries = self._template.read(sensor, message.payload, int(time.time() * 1000))
        except Refusal as e:
            self.counters["quarantined"] += 1
            entries = [(f"{message.topic}: {e}", message.payload[:1000].decode("utf-8", "replace"))]
        if identity is not None and not device.is_new(message, (sensor, identity)):
            self.counters["duplicates"] += 1
            return
        device.put(message, entries)

    def _repeats(self, message: _Message) -> bool:
        """True for what came over the connection before this one, and is still on its way to the disk."""
        before = self._under_way.get(message.mid)
        if before is None or not message.dup or before.connection == message.connection:
            return False
        if before.topic != message.topic or before.payload != message.payload:
            return False
        before.connection = message.connection  # where its acknowledgement is awaited now
        return True

    def _device(self, source: str) -> DeviceLink:
        """The link of a source, a new one if there is none. Refusal."""
        device = self._devices.pop(source, None)
        if device is None or device.closed:
            if len(self._devices) >= MAX_DEVICES:
                self._make_room()
            device = self._make_link(DeviceLink)  # type: ignore[assignment]  # it makes what it is told
            assert isinstance(device, DeviceLink)
            device.begin(self, source, self._epoch)
        self._devices[source] = device
        return device

    def _make_room(self) -> None:
        idle = next((device for device in self._devices.values() if device.is_idle()), None)
        if idle is None:
            raise Refusal("full", f"{MAX_DEVICES} sources have readings under way")
        idle.close()

    def _refuse(self, message: _Message, why: Refusal) -> None:
        self.counters[f"refused_{why.code}"] += 1
        self.last_refusal = str(why)
        told(logging.WARNING, "refused", f"{self.url}: a message was refused: {why}", url=self.url, code=why.code)
        self.done(message)

    def done(self, message: _Message) -> None:
        """A message is on disk, or never will be: the broker may forget it."""
        if message.qos and self._under_way.get(message.mid) is message:
            del self._under_way[message.mid]
        with self._lock:
            if message.qos and message.connection == self._connection and self._client is not None:
                self._client.ack(message.mid, message.qos)
        self._room.release()

    def gone(self, device: DeviceLink, waiting: list[_Message]) -> None:
        """A source has ended; `waiting` was not taken of it."""
        if self._devices.get(device.source or "") is device:
            del self._devices[device.source or ""]
        for message in waiting:
            if self._closed:
                self._room.release()  # and no acknowledgement: it comes again
            else:
                self._refuse(message, Refusal("taken", f"{device.source} came in another way"))
        self._part()


def _client_id(what: str) -> str:
    """The same name in every run, another for every hub and topic: by it the broker keeps what this hub missed.

    A second template for the same topics is another client, counted in the order of the listeners.
    """
    n = 1
    while True:
        digest = hashlib.sha256(f"{what} {n}".encode() if n > 1 else what.encode()).hexdigest()
        if (name := f"bourn-{digest[:16]}") not in _client_ids:
            return name
        n += 1


def open_to_others(url: str) -> bool:
    """False: who may publish is the broker's to say; what it lets through writes under every name without a key."""
    return False


def check_free(url: str, insecure: bool) -> None:
    """ValueError when `url` is no template's, when paho is missing, or others could read what goes there."""
    address = Template(url).broker
    load_paho()
    check_encrypted(address, "mqtt+json", insecure)


async def listen(url: str, make_link: MakeLink, insecure: bool) -> JsonListener:
    """Read at `url`; when the broker does not answer at once the hub goes on trying, and its log says so."""
    check_free(url, insecure)
    listener = JsonListener(url, make_link)
    await wait_until_up(listener)
    return listener
