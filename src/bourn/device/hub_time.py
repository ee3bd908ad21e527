"""Asks the hub what time it is, for boards that reach a hub and no time server; by steps that never wait.

A connection of its own, as the URL says, and only for the moment: PING goes out, and behind its number the hub's PONG
says ms since 1970. So the way there and back is measured: half of it is how far off the answer may be (`error_ms`), if
the hub's clock is right. A hub of an older version says no time.

It is for a clock that does not know: one that was set by somebody else (SNTP, the machine's own) is left alone. Its own
setting it puts right every six hours, by no more than a quartz may be off. So whoever pretends to be a hub, where
neither TLS nor key says which it is, can give a wrong time to a board that has none, and move none that is known.
"""

import errno
import select

import bourn.wire as wire  # noqa: PLR0402 - MicroPython loads names.py for `from bourn`: 2.5 KB
from bourn._compat.system import random_bytes
from bourn.device.connections import check_url, open_connection
from bourn.device.sntp import AGAIN_MS, LOOK_MS, ReplyError, TimeLink

ANSWER_MS = 10000  # from dialling to the answer: a small board needs seconds for TLS
ANSWER_BYTES = 1024
DRIFT = 2000  # a clock is not off by more than one part in so many: 500 ppm, ten times what a quartz is
SLACK_MS = 1000  # and by this: nobody asks whether the hub was set meanwhile


class HubTime(TimeLink):
    """Sets `clock` (a BoardClock) by the hub at `url` while nobody else does. Methods and counters of TimeLink."""

    def __init__(self, clock, url: str, connect=open_connection, random=random_bytes, poller=None) -> None:
        super().__init__(clock, check_url(url), random=random)  # as messages name it: without secrets
        self._url = url
        self._connect = connect
        self._poller = poller or select.poll()
        self._given = None  # the offset that was set here, and when
        self._given_at = 0
        self._number = 0
        self._out = b""
        self._decoder = None
        self._connected = False
        self._began = 0

    def _ask(self):
        if self.clock.offset is not None and self.clock.offset != self._given:
            return AGAIN_MS  # somebody else knows better
        self._began = self.clock.now()
        self._socket = self._connect(self._url)
        self._poller.register(getattr(self._socket, "polled", self._socket), select.POLLIN | select.POLLOUT)
        self._connected = False
        self._number = int.from_bytes(self._random(4), "big")
        self._out = wire.encode(wire.PING, self._number)
        self._decoder = wire.Decoder(ANSWER_BYTES)
        self.counters["asked"] += 1
        return LOOK_MS

    def _look(self):
        now = self.clock.now()
        if now - self._began >= ANSWER_MS:
            raise ReplyError("no answer within %d s" % (ANSWER_MS // 1000))
        if not self._connected:
            ready = self._poller.poll(0)
            if not ready:
                return LOOK_MS
            if ready[0][1] & (select.POLLERR | select.POLLHUP):
                raise OSError(errno.ECONNREFUSED, "nobody listens there")
            self._connected = True
        try:
            if self._out:
                self._asked_at = now
                self._out = self._out[self._socket.send(self._out) :]
            data = self._socket.recv(512)
        except OSError as e:
            if e.args[0] == errno.EAGAIN:
                return LOOK_MS
            raise
        if not data:
            raise OSError(errno.ECONNRESET, "the hub closed it")
        for kind, body in self._decoder.feed(data):
            values = wire.decode(kind, body)
            if kind == wire.REFUSE:
                raise ReplyError("the hub refused: %s" % values[1])
            if kind == wire.PONG and values[0] == self._number:
                self._take(values[1] if len(values) > 1 else None, self.clock.now())
                return AGAIN_MS
        return LOOK_MS

    def _take(self, told, now):
        """The hub has said `told` at some moment since it was asked."""
        if type(told) is not int:
            raise ReplyError("the hub says no time; a newer version does")
        way = now - self._asked_at
        clock = self.clock
        told += way // 2
        if clock.offset is not None:
            off = told - clock.wall()
            if clock.offset != self._given or abs(off) > SLACK_MS + way + (now - self._given_at) // DRIFT:
                raise ReplyError("the hub is off by %d ms; that is left alone" % off)
        clock.set(told)
        self._given = clock.offset
        self._given_at = now
        self._done((way + 1) // 2)

    def close(self):
        """Forget the question that is under way."""
        if self._socket:
            self._poller.unregister(getattr(self._socket, "polled", self._socket))
        super().close()
