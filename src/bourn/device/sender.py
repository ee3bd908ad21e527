"""Sends what an outbox holds to a hub, and forgets only what the hub has acknowledged.

One thread, nothing blocks: `wait` is what the scheduler waits with, and while the device would sleep it is
`poll` that sleeps. Trouble on the network is a state of the link, never an error of the stream.

    down --(back-off over)--> connecting --> greeting --(WELCOME)--> up --(anything wrong)--> down
    down --(the connection cannot be opened again)--> ended
"""

import errno
import select

import bourn.wire as wire  # noqa: PLR0402 - MicroPython loads names.py for `from bourn`: 2.5 KB
from bourn._compat import Clock
from bourn._compat.system import PIECE_BYTES, random_bytes, runtime
from bourn.device.connections import check_url, open_connection, opens_once, socket_interest
from bourn.device.framing import check_reading, data_frame
from bourn.spool import Gap
from bourn.spool.follower import Follower

FRAME_READINGS = 500
BACKOFF_MS = 200  # the first pause after a failure; doubled up to `backoff_cap_ms`, of it a random half
ANSWER_MS = 5000  # how long the hub may be silent while something is expected of it, before it is asked (PING)
ANSWER_BYTES = 4096  # the longest frame that a hub has reason to send
QUIET_MS = 30000  # the same while nothing is expected; after twice the time the link is given up
FOREVER_MS = 1 << 28


class Sender:
    """A sink for SensorEvents: each is put into the outbox `spool`, and from there to the hub at `url`.

    `wait(ms)` does the network's work; give it to the Scheduler. A reading that no hub could store (NaN, a wrong name)
    is refused here and counted; one that the spool's policy refuses, too. `connect(url)` opens the connection,
    `poller` waits for it (select.poll). `prove(hub, source, epoch, nonce)` answers a hub that wants to know who writes.
    """

    prove = None
    backoff_cap_ms = 10000  # so that a fleet is not back at once; a battery may want ten minutes

    def __init__(
        self, url: str, source: str, spool, clock=None, connect=open_connection, random=random_bytes, poller=None
    ) -> None:
        self._place = check_url(url)  # as messages name it: without secrets
        self._url = url
        self._once = opens_once(url)
        if not wire.source_ok(source):
            raise ValueError("a source's name is made of A-Z a-z 0-9 _ . - (1 to 64), not %r" % (source,))
        self.source = source
        self.spool = spool
        self.clock = clock or Clock()
        self.poller = poller or select.poll()  # others may register here, to wake `wait` too
        self.state = "down"
        self.last_error: str | None = None
        # sent, resent: readings put on the wire for the first time, and again; acked: those of them that the hub has on
        # disk; known: readings of an earlier run that it turned out to have already
        self.counters = {
            "invalid": 0,
            "lost": 0,
            "sent": 0,
            "resent": 0,
            "acked": 0,
            "known": 0,
            "links": 0,
            "failures": 0,
            "nacks": 0,
        }
        self._connect = connect
        self._random = random
        self._follower = Follower(spool)
        self._channel = None
        self._polled = None  # of the channel, what the poller takes
        self._fileno = -1
        self._interest = socket_interest
        self._decoder: wire.Decoder | None = None
        self._out = b""  # bounded by the credit: what the socket did not take yet
        self._epoch: str | None = None  # of the last HELLO
        self._highest = 0  # the last number sent of that epoch
        self._hub = None
        self._shared = False
        self._credit = self._wanted = 0  # readings that may be sent now; those asked for by WANT and not granted yet
        self._attempts = 0  # failures since the last WELCOME
        self._retry_at = self.clock.now()
        self._heard_at = 0
        self._pinged = False

    # -- a sink of the flow

    def on_next(self, event) -> None:
        """Put one reading into the outbox; on disk when this returns (unless the spool syncs otherwise)."""
        sensor, ts, val = event
        try:
            check_reading(sensor, ts, val)
            place = self.spool.append((sensor, ts, val))
            while place is None and self.spool.policy == "block" and self.state != "ended":
                if self.wait(FOREVER_MS):
                    break
                place = self.spool.append((sensor, ts, val))
        except ValueError as e:
            self.counters["invalid"] += 1
            self.last_error = "%s: %s" % (sensor, e)
        except (OSError, MemoryError) as e:  # the disk; the flow goes on, and the next reading tries again
            self.counters["lost"] += 1
            self.last_error = "outbox: %s" % e

    def on_completed(self) -> None:
        """A stream has ended; what is in the outbox is still sent."""

    def on_error(self, e) -> None:
        """A stream has failed; what is in the outbox is still sent."""
        self.last_error = repr(e)

    # -- the network

    def wait(self, ms: int) -> bool:
        """Do what the network allows, and wait for it `ms` milliseconds at most: less when something happened.

        True when that was something else that is registered with `poller`.
        """
        now = self.clock.now()
        self._advance(now)
        ms = max(0, min(ms, self._next_deadline() - now))
        other = False
        for event in self.poller.poll(ms):
            if self._channel is not None and event[0] in (self._polled, self._fileno):
                self._ready(event[1])
            else:
                other = True
        self._advance(self.clock.now())
        return other

    def drain(self, ms: int) -> bool:
        """Send until the hub has everything, for `ms` milliseconds at most; True if it has."""
        end = self.clock.now() + ms
        while self.spool.waiting():
            now = self.clock.now()
            if now >= end or self.state == "ended":
                return False
            # There is no later now: a hub that comes back in this time is not to be missed by a long back-off.
            self._retry_at = min(self._retry_at, now + BACKOFF_MS)
            self.wait(end - now)
        return True

    def close(self) -> None:
        """Close the link and the outbox; what was not acknowledged stays there for the next time."""
        if self._channel is not None:
            self._hang_up()
        self.spool.close()

    def in_flight(self) -> int:
        """Readings on their way: sent on this link and not acknowledged."""
        return self._follower.in_flight

    def _advance(self, now: int) -> None:
        """Do what is due at `now`."""
        if self.state == "down":
            if now >= self._retry_at:
                self._dial(now)
        elif self.state == "ended":
            return
        elif now - self._heard_at >= 2 * self._patience():
            self._fail("the hub does not answer")
        elif self.state == "up":
            if now - self._heard_at >= self._patience() and not self._pinged:
                self._pinged = True
                self._say(wire.PING, 0)
            try:
                self._send_waiting()
            except (OSError, MemoryError) as e:  # of the socket or the outbox's disk: all may be well the next time
                self._fail("the link to %s failed: %s" % (self._place, e))

    def _next_deadline(self) -> int:
        if self.state == "down":
            return self._retry_at
        if self.state == "ended":
            return self.clock.now() + FOREVER_MS
        return self._heard_at + self._patience() * (2 if self._pinged or self.state != "up" else 1)

    def _patience(self) -> int:
        return ANSWER_MS if self.state != "up" or self._follower.in_flight or self._wanted else QUIET_MS

    def _dial(self, now: int) -> None:
        try:
            channel = self._connect(self._url)
        except OSError as e:
            self._fail("cannot reach %s: %s" % (self._place, e))
            return
        self._channel = channel
        self._interest = getattr(channel, "interest", socket_interest)
        polled = self._polled = getattr(channel, "polled", channel)
        self._fileno = getattr(polled, "fileno", int)()  # a socket of lwIP has none: it is polled itself
        self.poller.register(polled, select.POLLIN | select.POLLOUT)
        self.state = "connecting"
        self._heard_at = now
        self._pinged = False
        self._decoder = wire.Decoder(ANSWER_BYTES)
        self._out = b""

    def _ready(self, events: int) -> None:
        try:
            if self.state == "connecting":
                if events & (select.POLLERR | select.POLLHUP):
                    raise OSError(errno.ECONNREFUSED, "nobody listens there")
                self.state = "greeting"
                self._hello()
            if events & ~select.POLLOUT:
                self._receive()
            self._flush()
        except (OSError, MemoryError) as e:
            self._fail("the link to %s failed: %s" % (self._place, e))
        except wire.FrameError as e:
            self._fail("the hub sent no frame of ours: %s" % e)

    def _receive(self) -> None:
        if self._channel is None or self._decoder is None:
            return
        try:
            data = self._channel.recv(512)  # some acks; a small heap has no 4 KB in one piece
        except OSError as e:
            if e.args[0] == errno.EAGAIN:  # a bell was rung for something else: there is room again
                return
            raise
        if not data:
            raise OSError(errno.ECONNRESET, "the hub closed it")
        self._heard_at = self.clock.now()
        self._pinged = False
        for kind, body in self._decoder.feed(data):
            self._take(kind, wire.decode(kind, body))
            if self._channel is None:  # refused: what follows is of no interest
                return

    def _take(self, kind: int, values) -> None:
        """What the hub said."""
        if kind == wire.WELCOME:
            self._welcome(values)
        elif kind == wire.ACK:
            if values[0] == self._epoch:
                self._forget((self._epoch, values[1]), False)
        elif kind == wire.NACK:
            if values[0] == self._epoch:
                self.counters["nacks"] += 1
                self._fail("the hub misses readings from %d on" % values[1])  # how much credit is left, WELCOME says
        elif kind == wire.CREDIT:
            if self.state == "up":  # else it was given before our HELLO came, which returns it
                self._credit += values[0]
                self._wanted = max(0, self._wanted - values[0])
        elif kind == wire.PING:
            self._say(wire.PONG, values[0])
        elif kind == wire.CHALLENGE and self.prove:
            self._say(wire.PROOF, self.prove(values[1], self.source, self._epoch, values[0]))
        elif kind == wire.REFUSE or kind == wire.CHALLENGE:
            self._attempts += 4  # it will not be better in a moment
            why = values[1] if kind == wire.REFUSE else "it wants a key; `bourn keys add %s` there" % self.source
            self._fail("the hub refused: %s" % why)
        elif kind == wire.PONG:
            if not self._follower.in_flight:
                self._follower.rewind(self.spool.acked())  # a Gap whose ack was lost on an older link goes again
        else:
            raise wire.FrameError("kind", "a %s frame from a hub" % wire.name_of(kind))

    def _hello(self) -> None:
        """Open the oldest epoch that holds something unacknowledged."""
        waiting = self.spool.read(self.spool.acked(), 1)
        epoch = self.spool.epoch
        oldest = self.spool.seq + 1
        if waiting:
            (epoch, oldest), what = waiting[0]
            if isinstance(what, Gap):
                oldest = what.first
        if epoch != self._epoch:
            self._epoch = epoch
            self._highest = 0
        self._credit = self._wanted = 0
        self._heard_at = self.clock.now()
        self._say(wire.HELLO, self.source, self._epoch, oldest, {"runtime": runtime(), "waiting": self.spool.waiting()})

    def _welcome(self, values) -> None:
        epoch, last, window, self._shared, self._hub = values[:5]
        if epoch != self._epoch:
            raise wire.FrameError("shape", "a WELCOME for another epoch")
        # What the hub has on disk counts as acknowledged, although its ack may have been lost with the last link.
        self._forget((epoch, last), True)
        self._credit = window
        self._attempts = 0
        if self.state != "up":
            self.counters["links"] += 1
        self.state = "up"

    def _forget(self, place, again: bool) -> None:
        """The hub has everything up to `place`. `again`: what is behind it has to be sent again, on this new link."""
        if place[0] == self.spool.epoch and place[1] > self.spool.seq:
            raise wire.FrameError("shape", "it has more than there ever was")
        acked = self.spool.acked()
        sent = self._highest - (acked[1] if acked and acked[0] == self._epoch else 0)
        before = self.spool.waiting()
        if again:
            self._follower.rewind(place)
        else:
            released = self._follower.ack(place)
            if not self._shared:
                self._credit += released
        self.spool.trim()
        had = before - self.spool.waiting()
        self.counters["acked"] += min(had, max(0, sent))
        self.counters["known"] += had - min(had, max(0, sent))

    def _expect(self) -> None:
        """An answer is expected from now on: the hub's silence before does not count against it."""
        if not self._follower.in_flight and not self._wanted:
            self._heard_at = self.clock.now()

    def _send_waiting(self) -> None:
        """Put on the wire what credit allows; ask for more, or give back what is not needed."""
        while len(self._out) < PIECE_BYTES:
            if self._credit <= 0 and not self._follower.idle():
                break  # what is under way brings credit
            entries = self._follower.read(max(1, min(self._credit, FRAME_READINGS)))
            if not entries:
                break
            if entries[0][0][0] != self._epoch:
                if self._follower.idle():
                    self.state = "greeting"  # the older epoch is drained: on with the next
                    self._give_back()
                    self._hello()
                break
            if isinstance(entries[0][1], Gap):
                place, gap = entries[0]
                self._say(wire.GAP, gap.first, gap.last, gap.reason)
                self._follower.sent(place, 0)
            elif self._credit <= 0:
                break
            else:
                self._send_data(entries)
        if self._shared and self.state == "up":
            waiting = self.spool.waiting() - self._follower.in_flight
            if waiting > self._credit + self._wanted:
                missing = waiting - self._credit - self._wanted
                self._expect()
                self._wanted += missing
                self._say(wire.WANT, missing)
            elif not waiting:
                self._give_back()
        self._flush()

    def _send_data(self, entries) -> None:
        frame, last, n = data_frame(entries)
        if not n:
            first = entries[0][0][1]
            self._say(wire.GAP, first, first, "too_long")
            self._follower.sent(entries[0][0], 0)
            return
        self._expect()
        self._out += frame
        self._credit -= n
        new = min(n, max(0, last[1] - self._highest))
        self._highest = max(self._highest, last[1])
        self.counters["sent"] += new
        self.counters["resent"] += n - new
        self._follower.sent(last, n)

    def _give_back(self) -> None:
        if self._shared and self._credit:
            self._say(wire.CREDIT, self._credit)  # which also takes back what was asked for and not lent yet
            self._credit = self._wanted = 0

    def _say(self, kind: int, *values) -> None:
        self._out += wire.encode(kind, *values)

    def _flush(self) -> None:
        """Give the channel what it takes; poll for the rest."""
        if self._channel is None:
            return
        if self._out:
            try:
                self._out = self._out[self._channel.send(self._out) :]
            except OSError as e:
                if e.args[0] != errno.EAGAIN:
                    raise
        self.poller.modify(self._polled, self._interest(bool(self._out)))

    def _fail(self, why: str) -> None:
        """The link is down; try again after a back-off."""
        self.last_error = why
        self.counters["failures"] += 1
        pause = min(self.backoff_cap_ms, BACKOFF_MS << min(self._attempts, 16))
        self._attempts += 1
        self._retry_at = self.clock.now() + pause // 2 + int.from_bytes(self._random(2), "big") * (pause // 2) // 65535
        self._hang_up()
        if self._once:
            self.state = "ended"

    def _hang_up(self) -> None:
        if self._channel is not None:
            self.poller.unregister(self._polled)
            self._channel.close()
            self._channel = None
        self.state = "down"
        self._out = b""
        self._credit = self._wanted = 0
        self._follower.rewind(self.spool.acked())
