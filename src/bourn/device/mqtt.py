"""An MQTT 3.1.1 client that survives its broker: QoS 0 and 1, on MicroPython and CPython; it never blocks.

A `Client` belongs to one thread, and `step` is where the network's work is done; `mqtt_thread.ThreadClient` is the one
for several threads. Whatever was accepted with QoS 1 is sent until the broker has acknowledged it, over as many links
as that takes; what comes twice because of that has the same bytes.

    down --(back-off over)--> connecting --(TCP)--> greeting --(TLS, CONNACK)--> up --(anything wrong)--> down
"""

import errno
import select
from collections import deque
from os import urandom

from bourn._compat import Clock, const
from bourn.device import mqtt_packet, open_tcp

# The first pause after a failure; doubled up to `backoff_cap_ms`, of it a random half, so that no fleet returns at once
_BACKOFF_MS = const(200)
_ANSWER_MS = const(10000)  # how long the broker may let an answer wait; then the link is given up
_OUT_BYTES = const(2048)  # unsent bytes above which nothing more is taken from the queue, nor from the network
_READ_BYTES = const(512)  # of messages, at once
_ACK_BYTES = const(128)  # the same of acks alone, a window of them: a full heap has no larger piece
_NUMBERS = const(0xFF00)  # messages have those below, subscriptions the others (mqtt_hearing.py)


class Client:
    """Publishes to and hears from the broker at `host`; never raises for the network's sake: see `state`, `last_error`.

    `policy` is what happens to a message when `queue` of them wait: "block" (here: `publish` says False, call `step`
    and try again), "drop_oldest", "drop_newest", "keep_latest" (a queue of 1). At most `window` messages of QoS 1 are
    on their way. `will` is (topic, payload, qos, retain). With `clean` false the broker keeps subscriptions and
    messages for `client_id` while it is away. `tls` is a `Tls` (device/secure.py).

    `on_message(topic, payload, retained)` is called by `step`; a message of QoS 1 is acknowledged when it has returned.
    What it raises comes out of `step`, and the link is dropped with the message unacknowledged. An incoming message
    above `most` bytes is thrown away and counted.
    """

    backoff_cap_ms = 10000  # a battery may want ten minutes
    last_error = None
    _topics = ()  # (topic, the packet that subscribes to it), replaced as a whole

    def __init__(
        self,
        host,
        port=None,
        client_id=None,
        user=None,
        password=None,
        keepalive_s=60,
        clean=True,
        will=None,
        tls=None,
        window=32,
        queue=100,
        policy="block",
        most=4096,
        on_message=None,
        clock=None,
        connect=open_tcp,
        random=urandom,
    ):
        if policy == "keep_latest":
            queue = 1
        if (
            policy not in "block drop_oldest drop_newest keep_latest".split()  # noqa: SIM905 - a third of the RAM
            or queue < 1
            or not 0 < window < 1000
            or not 5 <= keepalive_s < 65536
            or not (clean or client_id)
        ):
            raise ValueError("policy, window 1 to 999, queue from 1, keepalive_s 5 to 65535, clean or client_id")
        client_id = client_id or "bourn-" + random(6).hex()
        self._hello = mqtt_packet.connect(client_id, keepalive_s, clean, user, password, will)
        self._address = (host, port or (8883 if tls else 1883))
        self.tls = tls
        self.window = window
        self.most = most
        self._quiet_ms = keepalive_s * 750  # without an answer, before the broker is asked
        self.policy = policy
        self._bound = queue
        self.on_message = on_message
        self.clock = clock or Clock()
        self.poller = select.poll()  # others may register here, to wake `step` too
        self.state = "down"
        # sent, resent: messages put on the wire for the first time, and again; acked: those of QoS 1 that the broker
        # has; dropped: by the policy; received; too_long: incoming ones thrown away; refused: subscriptions that were
        self.counters = counters = {"sent": 0, "resent": 0, "acked": 0, "dropped": 0, "links": 0, "failures": 0}
        counters["received"] = counters["too_long"] = counters["refused"] = 0
        self._connect = connect
        self.random = random
        self._queue = deque((), queue)  # noqa: RUF037 - MicroPython's form; packets that were not sent yet
        self._flight = []  # packets, oldest first: of QoS 1, sent and not acknowledged
        self._number = 0  # the last one given
        self._told = self._awaited = 0  # topics the broker was told of on this link; answers to come, other than acks
        self._due = self.clock.now()  # when to dial again, while it is down; else when silence is too long
        self._attempts = 0  # failures since the link was up
        # What is polled; the same, or TLS over it, to speak through.
        self._socket = self._channel = self._fileno = None
        self._more = False  # there may be bytes that no poll will tell of
        self._out = b""  # never a message in flight itself; at most _OUT_BYTES and a packet, on a new link the window

    # -- what the program says

    def publish(self, topic, payload, qos=1, retain=False):
        """Accept one message, of `bytes` or `str`; False when the policy refuses it. ValueError for a wrong topic."""
        if not self._put(mqtt_packet.publish(topic, payload, qos, retain)):
            return False
        if self.state == "up" and not self._out:
            self._move()
        return True

    def subscribe(self, topic, qos=1):
        """Hear messages of `topic`, on this link and all to come; 255 subscriptions at most."""
        from bourn.device.mqtt_hearing import subscribe

        subscribe(self, topic, qos)

    def waiting(self):
        """Messages accepted that the broker does not have for sure."""
        return len(self._queue) + len(self._flight) + (1 if self._out and self.state == "up" else 0)

    def ready(self):
        """True if the link is up and every subscription answered."""
        return self.state == "up" and self._told == len(self._topics) and not self._awaited

    def step(self, ms=0):
        """Do what the network allows, and wait for it `ms` milliseconds at most: less when something happened.

        True when that was something else that is registered with `poller`. May be what a Scheduler waits with.
        """
        now = self.clock.now()
        if self.state == "down":
            if now >= self._due:
                try:
                    self._socket = s = self._connect(*self._address)
                    self.poller.register(s)  # for what, is said below
                    self._fileno = s.fileno() if hasattr(s, "fileno") else None  # lwIP's: MicroPython tells the object
                    self.state = "connecting"
                    self._due = self.clock.now() + _ANSWER_MS  # the look-up of a name may have taken long
                    self._rest = b""
                    self._out = self._hello
                except (OSError, MemoryError) as e:
                    self._fail(e)
        else:
            if now >= self._due:
                if self._expects():
                    self._fail("the broker does not answer")
                else:
                    self._awaited += 1
                    self._out += b"\xc0\x00"  # PINGREQ
                    self._due = now + _ANSWER_MS
            self._move()
        if self._socket is not None:
            self.poller.modify(self._socket, self.interest())
        other = False
        for event in self.poller.poll(0 if self._more else max(0, min(ms, self._due - now))):
            if event[0] in (self._socket, self._fileno):
                self._ready(event[1])
            else:
                other = True
        if self._more:
            self._ready(0)
        return other

    def drain(self, ms):
        """Step until the broker has everything, for `ms` milliseconds at most; True if it has."""
        end = self.clock.now() + ms
        while self.waiting():
            now = self.clock.now()
            if now >= end:
                return False
            if self.state == "down":
                self._due = min(self._due, now + _BACKOFF_MS)  # there is no later: a long pause must not miss it
            self.step(end - now)
        return True

    def close(self):
        """Say good-bye, so that the will is not published. What is not acknowledged is forgotten: `drain` before."""
        if self.state == "up":
            self._out += b"\xe0\x00"  # DISCONNECT
            self._move()
        self._fail(None)

    # -- the queue: what a client for several threads has to guard

    def _put(self, packet):
        queue = self._queue
        if len(queue) == self._bound:
            if self.policy == "block":
                return False
            self.counters["dropped"] += 1
            if self.policy == "drop_newest":
                return False
            queue.popleft()
        queue.append(packet)
        return True

    # -- the network

    def _expects(self):
        return self._flight or self._awaited or self.state != "up"

    def _ready(self, events):
        """The socket can be read or written."""
        heard = []
        try:
            if self.state == "connecting":
                self._channel = self._socket  # where nobody is there, the first `send` will say why
                if self.tls:
                    self._channel = self.tls.wrap(self._socket, self._address[0])
                    self._socket = self._channel.polled
                self.state = "greeting"
            elif events != select.POLLOUT:
                self._more = False
                most = _READ_BYTES if self._topics else _ACK_BYTES
                data = self._channel.recv(most)
                if not data:
                    raise ValueError("closed")
                self._more = len(data) == most
                packets, self._rest = mqtt_packet.cut(self._rest, data, self.most)
                for one in packets:
                    if one[0] & 0xF0 == 0x30:  # PUBLISH
                        heard.append(one)
                    else:
                        self._answered(one[0], one[1])
        except (OSError, ValueError, IndexError, MemoryError) as e:
            self._fail(e)
        if heard:
            from bourn.device.mqtt_hearing import tell

            tell(self, heard)
        self._move()

    def _answered(self, first, body):
        if first == 0x40:  # PUBACK
            for packet in self._flight:
                at = mqtt_packet.place_of_number(packet)
                if packet[at : at + 2] == body[:2]:
                    self._flight.remove(packet)
                    self.counters["acked"] += 1
                    break
        elif first == 0x20 and not body[1]:  # CONNACK
            self.state = "up"
            self._attempts = 0
            self.counters["links"] += 1
            for packet in self._flight:  # before anything newer, in their order
                packet[0] |= 8  # DUP
                self._out += packet
            self.counters["resent"] += len(self._flight)
        else:  # SUBACK, PINGRESP
            self._awaited -= 1
            if first == 0x20 or body[-1:] > b"\1":
                from bourn.device.mqtt_hearing import refused

                refused(self, body)
        self._due = self.clock.now() + (_ANSWER_MS if self._expects() else self._quiet_ms)

    def _move(self):
        """Put on the wire what may go there."""
        try:
            if self.state == "up":
                self._fill()
            if self._out and self._channel:
                self._out = self._out[self._channel.send(self._out) :]
        except (OSError, MemoryError) as e:  # what was being sent has been sent in part, perhaps
            self._fail(e)

    def interest(self):
        """What the socket of this link is to be polled for."""
        if not self._out:
            return select.POLLIN
        if self.tls and self._channel:
            return self._channel.interest(True)
        if len(self._out) >= _OUT_BYTES:
            return select.POLLOUT  # a broker that does not read what it is told is not listened to
        return select.POLLIN | select.POLLOUT

    def _fill(self):
        quiet = not self._expects()
        while self._told < len(self._topics):
            self._out += self._topics[self._told][1]
            self._told += 1
            self._awaited += 1
        queue = self._queue
        flight = self._flight
        pieces = [self._out]
        size = len(self._out)
        while queue and len(flight) < self.window and size < _OUT_BYTES:
            flight.append(None)  # memory may end at any point, but not between taking a message and keeping it
            packet = flight[-1] = queue.popleft()
            if packet[0] & 6:
                number = self._number = self._number % (_NUMBERS - 1) + 1
                at = mqtt_packet.place_of_number(packet)
                packet[at] = number >> 8
                packet[at + 1] = number & 255
            else:
                flight.pop()
            pieces.append(packet)
            size += len(packet)
        if len(pieces) > 1:
            self.counters["sent"] += len(pieces) - 1
            self._out = b"".join(pieces)
        if quiet and self._expects():  # an answer, from now on: the silence before does not count against the broker
            self._due = self.clock.now() + _ANSWER_MS

    def _fail(self, e):
        """The link is down; try again after a back-off. `e` is why: None when it was to be, EAGAIN when it is not."""
        if isinstance(e, OSError) and e.args[0] == errno.EAGAIN:
            return
        pause = min(self.backoff_cap_ms, _BACKOFF_MS << min(self._attempts, 12))
        self._attempts += 1
        self._due = self.clock.now() + (pause * (65537 + int.from_bytes(self.random(2), "big")) >> 17)
        if self._socket is not None:
            self.poller.unregister(self._socket)
            (self._channel or self._socket).close()
        self._socket = self._channel = self._fileno = None
        self.state = "down"
        self._out = b""
        self._told = self._awaited = 0
        self._more = False
        if e:
            self.counters["failures"] += 1
            try:
                self.last_error = "%s:%d: %s" % (self._address + (e,))
            except MemoryError:  # a full heap ends no program
                self.last_error = e
