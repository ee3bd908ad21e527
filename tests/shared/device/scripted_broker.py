"""A broker that does what a test says, over a real loopback socket, in the same thread as the client."""

import os
import select
import socket

from bourn.device import mqtt_hearing, mqtt_packet
from bourn.device.connections.tcp import open_tcp
from bourn.device.mqtt import Client
from bourn.testing import ManualClock

ROUNDS = 3000  # of 1 ms each at most: a condition that is not true by then never will be
CONNACK = b"\x20\x02\x00\x00"


class ScriptedBroker:
    """Listens; `packets` holds what came on the link that is open, as (first byte, body)."""

    def __init__(self, receive_buffer=None):
        for _ in range(100):
            self.port = 20000 + int.from_bytes(os.urandom(2), "big") % 40000
            self._listener = socket.socket()
            try:
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if receive_buffer:
                    self._listener.setsockopt(1, 8, receive_buffer)  # SO_RCVBUF
                self._listener.bind(socket.getaddrinfo("127.0.0.1", self.port)[0][-1])
                break
            except OSError:
                self._listener.close()
        self._listener.listen(5)
        self._listener.setblocking(False)
        self._poller = select.poll()
        self._poller.register(self._listener, select.POLLIN)
        self.links = 0
        self.link = None
        self.packets = []
        self.reads = True  # whether it takes what comes
        self.answers = {0x10: CONNACK}  # what it says by itself when a packet of this kind comes
        self.acks = False  # whether it acknowledges messages and subscriptions by itself

    def step(self):
        """Take what has come."""
        if self._poller.poll(0):
            self.hang_up()
            self.link = self._listener.accept()[0]
            self.link.setblocking(False)
            self._rest = b""
            self.links += 1
            self.packets = []
        while self.link and self.reads:
            try:
                data = self.link.recv(4096)
            except OSError:
                return
            if not data:
                self.hang_up()
                return
            packets, self._rest = mqtt_packet.cut(self._rest, data, 1 << 20)
            for first, body, _ in packets:
                self.packets.append((first, body))
                self._answer(first, body)

    def _answer(self, first, body):
        if first in self.answers:
            self.say(self.answers[first])
        elif self.acks and first == 0x82:
            self.say(b"\x90\x03" + body[:2] + b"\x01")
        elif self.acks and first & 0xF6 == 0x32:
            self.say(b"\x40\x02" + number_of(body))

    def say(self, data):
        """Send bytes."""
        self.link.send(data)

    def hang_up(self):
        """Close the link."""
        if self.link:
            self.link.close()
            self.link = None

    def close(self):
        """Let nobody in any more."""
        self.hang_up()
        self._listener.close()

    def of(self, kind):
        """The bodies of all packets of that kind: its upper four bits."""
        return [body for first, body in self.packets if first & 0xF0 == kind]

    def payloads(self):
        """What was published on this link, in its order."""
        return [payload_of(first, body) for first, body in self.packets if first & 0xF0 == 0x30]


def number_of(body):
    """The two bytes of a message's number."""
    at = 2 + (body[0] << 8 | body[1])
    return body[at : at + 2]


def payload_of(first, body):
    """The payload of a message."""
    return bytes(mqtt_hearing.message(first, body, len(body))[1])


class Table:
    """A scripted broker and a client, joined."""

    def __init__(self, receive_buffer=None, **options):
        self.broker = ScriptedBroker(receive_buffer)
        self.clock = options.get("clock") or ManualClock()
        self.heard = []
        options["clock"] = self.clock
        if "on_message" not in options:
            options["on_message"] = lambda topic, payload, retained: self.heard.append(
                (topic, bytes(payload), retained)
            )
        self.client = Client("127.0.0.1", self.broker.port, **options)

    def step(self):
        """Let both do what they can."""
        self.broker.step()
        self.client.step(1)
        self.broker.step()

    def until(self, condition):
        """Step until `condition()`; it has to come true."""
        for _ in range(ROUNDS):
            if condition():
                return
            self.step()
        raise AssertionError((self.client.state, self.client.last_error, self.client.counters, self.broker.packets))

    def settle(self):
        """Step until nothing moves any more."""
        for _ in range(8):
            self.step()

    def up(self):
        """Wait for the link, passing over the pauses after failures."""
        links = self.client.counters["links"]
        for _ in range(50):
            self.settle()
            if self.client.state == "up" and self.client.counters["links"] >= max(1, links):
                return
            self.clock.advance(10000) if self.client.state == "down" else None
        raise AssertionError((self.client.state, self.client.last_error))

    def close(self):
        """Remove everything."""
        self.client.close()
        self.broker.close()


def narrow(host, port):
    """A connection whose socket takes little at once."""
    s = open_tcp(host, port)
    s.setsockopt(1, 7, 2048)  # SO_SNDBUF
    return s
