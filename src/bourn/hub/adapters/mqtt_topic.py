"""MQTT topics as things, by paho-mqtt: `pip install 'bourn[mqtt]'`.

    thing.pipe(to_json(), MqttWriter("broker", "greenhouse/lux"))
    reader = MqttReader("broker", [("greenhouse/#", 1)])
    scheduler.schedule_periodic(reader, 1)

paho runs the connection in a thread of its own and connects again by itself. Nothing here waits for the network: what
is sent waits in paho's queue, what was received in the reader's; both have bounds and count what they drop. A broker's
acknowledgement says nothing about any disk: for readings that must not be lost there is the hub.
"""

from __future__ import annotations

import ssl
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from bourn.things import OutputThing

QUEUE_MESSAGES = 10_000  # waiting to be sent, or to be observed
OBSERVED_MESSAGES = 1_000  # emitted in one observation, so that nothing else waits longer
KEEPALIVE_S = 60
CLOSE_S = 5.0  # how long the end of a stream waits for what is left


class Message(NamedTuple):
    """What was received."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


def make_client(
    client_id: str = "",
    username: str | None = None,
    password: str | None = None,
    tls: bool | str | ssl.SSLContext = False,
) -> Any:
    """A client of paho; `tls` is True (verified by the system's authorities), a file with an own CA, or a context."""
    try:
        from paho.mqtt import client as paho
    except ImportError as e:
        raise ImportError("MQTT needs paho-mqtt: pip install 'bourn[mqtt]'") from e
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id)
    if username is not None:
        client.username_pw_set(username, password)
    if tls:
        own_ca = tls if isinstance(tls, str) else None
        context = tls if isinstance(tls, ssl.SSLContext) else ssl.create_default_context(cafile=own_ca)
        client.tls_set_context(context)
    client.reconnect_delay_set(min_delay=1, max_delay=60)
    client.max_queued_messages_set(QUEUE_MESSAGES)
    return client


def _why_not() -> str:
    """Why the connection that paho tries could not be made: its `on_connect_fail` is called while it handles that."""
    e = sys.exc_info()[1]
    return f"no connection to the broker: {e}" if e else "no connection to the broker"


class MqttWriter:
    """A sink that publishes each event (text, bytes, a number or None) on one topic or several, each with its QoS.

    Events are published in their order once the connection stands; paho sends those given while it connects first.
    `sent` counts what the broker has acknowledged (QoS 0: what has left), `dropped` what had no place in the queue of
    10,000 or was there when the end had waited `close_s`; `last_error` is the last word of a broker that refuses, or
    why it cannot be reached or trusted; None while it is connected. TypeError for an event of another type: put
    `to_json()` before it.
    """

    def __init__(
        self,
        host: str,
        topic: str | Sequence[str | tuple[str, int]],
        port: int = 1883,
        qos: int = 1,
        retain: bool = False,
        client: Any = None,
        close_s: float = CLOSE_S,
        **options: Any,
    ) -> None:
        names = [topic] if isinstance(topic, str) else topic
        self.topics = [(name, qos) if isinstance(name, str) else name for name in names]
        self.retain = retain
        self.sent = self.dropped = 0
        self.last_error: str | None = None
        self._close_s = close_s
        self._changed = threading.Condition()  # guards the counters and:
        self._waiting = 0
        self._closed = False
        self._client = client or make_client(**options)
        self._client.on_publish = self._on_publish
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.connect_async(host, port, KEEPALIVE_S)
        self._client.loop_start()

    def on_next(self, x: Any) -> None:
        """Give `x` to the client."""
        if isinstance(x, bool) or not isinstance(x, str | bytes | bytearray | int | float | None):
            raise TypeError(f"MQTT carries text, bytes, numbers or None, no {type(x).__name__}: put to_json() before")
        for topic, qos in self.topics:
            with self._changed:
                if self._closed or self._waiting >= QUEUE_MESSAGES:
                    self.dropped += 1
                    continue
                self._waiting += 1
            # At QoS 0 paho calls on_publish from here where there is no connection; so not under the lock.
            done = self._client.publish(topic, x, qos, self.retain)
            if done.rc and qos == 0:  # no connection, and QoS 0 does not wait for one
                with self._changed:
                    self._waiting -= 1
                    self.dropped += 1

    def on_completed(self) -> None:
        """Wait up to `close_s` until all is sent, then disconnect."""
        self.close()

    def on_error(self, e: Exception) -> None:
        """As on_completed: the events before the error are good."""
        self.close()

    def close(self) -> None:
        """As on_completed; may be called more than once."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.wait_for(lambda: not self._waiting, self._close_s)
        self._client.disconnect()
        self._client.loop_stop()
        with self._changed:
            self.dropped += self._waiting
            self._waiting = 0

    def _on_connect_fail(self, client: Any, userdata: Any) -> None:
        self.last_error = _why_not()

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        with self._changed:
            self._waiting -= 1
            self.sent += 1
            self._changed.notify_all()

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.last_error = str(reason) if reason.is_failure else None


class MqttReader(OutputThing):
    """Emits a Message for everything that comes on `topics` (pairs of a filter and its QoS), whenever it is observed.

    10,000 messages wait for the next observation; then the oldest are dropped and counted in `dropped`. `last_error` is
    as MqttWriter's. Trouble on the network is no `on_error`: the client connects again.
    """

    def __init__(
        self,
        host: str,
        topics: Sequence[tuple[str, int]],
        port: int = 1883,
        client: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.topics = list(topics)
        self.dropped = 0
        self.last_error: str | None = None
        self.subscribed = threading.Event()
        self._lock = threading.Lock()
        self._queue: deque[Message] = deque()
        self._closed = False
        self._client = client or make_client(**options)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect_async(host, port, KEEPALIVE_S)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect; the next observation emits what has come and completes the stream."""
        self._client.disconnect()
        self._client.loop_stop()
        self._closed = True

    def _observe(self) -> bool:
        closed = self._closed  # before looking: what came until then is emitted first
        for _ in range(OBSERVED_MESSAGES):
            with self._lock:
                message = self._queue.popleft() if self._queue else None
            if message is None:
                break
            self._emit(message)
        if closed and not self._queue:
            self._dispatch_completed()
            return False
        return True

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.last_error = str(reason) if reason.is_failure else None
        if not reason.is_failure:
            client.subscribe(self.topics)

    def _on_connect_fail(self, client: Any, userdata: Any) -> None:
        self.last_error = _why_not()

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        answers = zip(self.topics, reasons, strict=False)
        refused = [f"{topic}: {reason}" for (topic, _), reason in answers if reason.is_failure]
        self.last_error = "; ".join(refused) or None
        self.subscribed.set()

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        with self._lock:
            if len(self._queue) >= QUEUE_MESSAGES:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(Message(message.topic, message.payload, message.qos, message.retain))
