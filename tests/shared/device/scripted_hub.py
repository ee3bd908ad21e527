"""A hub that does what a test says, over a real loopback socket, in the same thread as the sender."""

import os
import select
import socket

from bourn import wire
from bourn.device.sender import Sender
from bourn.spool.segments import SegmentSpool
from bourn.testing import ManualClock

ROUNDS = 3000  # of 1 ms each at most: a condition that is not true by then never will be
EPOCH = 0  # places of values in the frames
LAST = 1


def folder(name):
    """A fresh folder for one test."""
    # in memory where there is such a file system: no test is about how long a disk takes to sync
    path = "%s/bourn-%s-%s" % ("/dev/shm" if "shm" in os.listdir("/dev") else "/tmp", name, os.urandom(4).hex())
    os.mkdir(path)
    return path


class ScriptedHub:
    """Listens; `frames` holds what came on the link that is open, as (kind, values)."""

    def __init__(self):
        for _ in range(100):
            self.port = 20000 + int.from_bytes(os.urandom(2), "big") % 40000
            self._listener = socket.socket()
            try:
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._listener.bind(socket.getaddrinfo("127.0.0.1", self.port)[0][-1])
                break
            except OSError:
                self._listener.close()
        self._listener.listen(5)
        self._listener.setblocking(False)
        self.url = "tcp://127.0.0.1:%d" % self.port
        self.links = 0
        self.frames = []
        self.link = None

    def step(self):
        """Take what has come."""
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        if poller.poll(0):
            if self.link:
                self.link.close()
            self.link = self._listener.accept()[0]
            self.link.setblocking(False)
            self._decoder = wire.Decoder()
            self.links += 1
            self.frames = []
        if self.link:
            try:
                data = self.link.recv(65536)
                if data:
                    for kind, body in self._decoder.feed(data):
                        self.frames.append((kind, wire.decode(kind, body)))
                else:
                    self.hang_up()
            except OSError:
                data = None

    def say(self, kind, *values):
        """Send one frame."""
        self.link.send(wire.encode(kind, *values))

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
        """The values of all frames of that kind."""
        return [values for k, values in self.frames if k == kind]

    def numbers(self):
        """The numbers of all readings that came on this link, in their order."""
        return [first + i for first, _, readings in self.of(wire.DATA) for i in range(len(readings))]


class Pair:
    """A scripted hub and a sender with an outbox, joined."""

    def __init__(self, name="sender", clock=None, connect=None, **spool):
        self.hub = ScriptedHub()
        self.clock = clock or ManualClock()
        self.path = folder(name)
        self.spool_settings = spool
        self.connect = connect
        self.open()

    def open(self):
        """A sender over the outbox as it is now: the first one, or after a restart."""
        self.spool = SegmentSpool(self.path, **self.spool_settings)
        options = {"connect": self.connect} if self.connect else {}
        self.sender = Sender(self.hub.url, "s1", self.spool, self.clock, **options)

    def emit(self, *values):
        """Let the sensor `s1` send these values."""
        for val in values:
            self.sender.on_next(("s1", self.clock.wall(), val))

    def step(self):
        """Let both do what they can."""
        self.hub.step()
        self.sender.wait(1)
        self.hub.step()

    def until(self, condition, *say):
        """Step until `condition()`; it has to come true."""
        for _ in range(ROUNDS):
            if condition():
                return
            self.step()
        raise AssertionError(say or (self.sender.state, self.sender.last_error, self.hub.frames))

    def settle(self):
        """Step until nothing moves any more."""
        for _ in range(8):
            self.step()

    def greet(self, last=0, window=100, shared=False):
        """Wait for the HELLO and answer it; its values."""
        count = len(self.hub.of(wire.HELLO)) if self.hub.link else 0
        self.until(lambda: (self.hub.link and len(self.hub.of(wire.HELLO)) > count) or self._greeted())
        hello = self.hub.of(wire.HELLO)[-1]
        self.hub.say(wire.WELCOME, hello[1], last, window, shared, "hub")
        self.until(lambda: self.sender.state == "up")
        return hello

    def _greeted(self):
        return self.hub.link and self.hub.of(wire.HELLO) and self.sender.state == "greeting"

    def close(self):
        """Remove everything."""
        self.sender.close()
        self.hub.close()
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)
