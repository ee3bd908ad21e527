"""MQTT by paho-mqtt (`pip install 'bourn[mqtt]'`), or by a mock that makes messages up."""

from __future__ import annotations

import datetime
import random
import threading
import time
from collections import namedtuple
from typing import Any

from bourn.hub.adapters.mqtt_topic import KEEPALIVE_S, MqttWriter, make_client
from bourn.thingflow.base import EventLoopOutputThingMixin, InputThing, OutputThing

MQTTEvent = namedtuple("MQTTEvent", ["timestamp", "state", "mid", "topic", "payload", "qos", "dup", "retain"])


class MockMQTTClient:
    """A client without a broker: connecting succeeds, and each `loop` receives up to `max_packets` messages."""

    def __init__(self, client_id=""):
        self.userdata = None
        self.client_id = client_id
        self.on_message = None
        self.on_connect = None
        self.on_publish = None

    def connect(self, host, port=1883):
        """Succeed."""
        if self.on_connect:
            self.on_connect(self, self.userdata, None, 0)
        return 0

    def subscribe(self, topics):
        """Succeed."""

    def publish(self, topic, payload, qos, retain=False):
        """Succeed."""
        if self.on_publish:
            self.on_publish(self, self.userdata, 0)

    def username_pw_set(self, username, password=""):
        """Succeed."""

    def loop(self, timeout=1.0, max_packets=1):
        """Receive something, then wait for `timeout` seconds."""
        for i in range(random.randint(1, max_packets)):
            if self.on_message:
                message = MQTTEvent(datetime.datetime.now(), 0, i, "bogus/bogus", "xxx", 0, False, False)
                self.on_message(self, self.userdata, message)
        time.sleep(timeout)
        return 0

    def disconnect(self):
        """Succeed."""


def _client(mock_class, host, port, client_id, username, password, server_tls, server_cert) -> Any:
    """A client of paho that has not begun to connect, or a mock that has."""
    if not mock_class:
        return make_client(client_id, username or None, password, tls=(server_cert or True) if server_tls else False)
    client = MockMQTTClient(client_id)
    client.connect(host, port)
    return client


class MQTTWriter(InputThing):
    """Publishes events on every one of `topics`, pairs (topic, QoS); put `to_json` before it.

    With `server_tls` the server is verified, by the authority in the file `server_cert` where one is named. The
    connection is paho's: it comes back by itself, and nothing here waits for it.
    """

    def __init__(
        self,
        host,
        port=1883,
        client_id="",
        client_username="",
        client_password=None,
        server_tls=False,
        server_cert=None,
        topics=(),
        mock_class=None,
    ):
        self.host = host
        self.port = port
        self.topics = topics
        self._writer = None
        login = client_id, client_username, client_password
        self.client = _client(mock_class, host, port, *login, server_tls, server_cert)
        if not mock_class:
            self._writer = MqttWriter(host, list(topics), port=port, client=self.client)

    def on_next(self, msg):
        """Publish `msg`: text, bytes, a number or None."""
        if self._writer:
            self._writer.on_next(msg)
            return
        for topic, qos in self.topics:
            self.client.publish(topic, msg, qos)

    def on_error(self, e):
        """Send what waits, then disconnect."""
        self.on_completed()

    def on_completed(self):
        """Send what waits, then disconnect."""
        if self._writer:
            self._writer.close()
        else:
            self.client.disconnect()

    def __str__(self):
        return f"MQTTWriter({', '.join(topic for topic, _ in self.topics)})"


class MQTTReader(OutputThing, EventLoopOutputThingMixin):
    """Emits an MQTTEvent for each message on `topics`, pairs (filter, QoS): for `schedule_on_private_event_loop`."""

    def __init__(
        self,
        host,
        port=1883,
        client_id="",
        client_username="",
        client_password=None,
        server_tls=False,
        server_cert=None,
        topics=(),
        mock_class=None,
    ):
        super().__init__()
        self.host = host
        self.port = port
        self.topics = topics
        self._stop = threading.Event()
        self._mock = bool(mock_class)
        login = client_id, client_username, client_password
        self.client = _client(mock_class, host, port, *login, server_tls, server_cert)
        if not mock_class:
            self.client.on_connect = lambda client, *rest: client.subscribe(list(topics))
        self.client.on_message = self._on_message

    def _on_message(self, client, userdata, m):
        event = MQTTEvent(m.timestamp, m.state, m.mid, m.topic, m.payload, m.qos, m.dup, m.retain)
        self._dispatch_next(event)

    def _observe_event_loop(self):
        if self._mock:
            while not self._stop.is_set():
                self.client.loop(1)
        else:
            self.client.connect_async(self.host, self.port, KEEPALIVE_S)
            self.client.loop_start()
            self._stop.wait()
        self._stop.clear()
        self.client.disconnect()
        if not self._mock:
            self.client.loop_stop()

    def _stop_loop(self):
        self._stop.set()

    def __str__(self):
        return f"MQTTReader({', '.join(topic for topic, _ in self.topics)})"
