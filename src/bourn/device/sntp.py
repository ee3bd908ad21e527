"""Asks a time server what time it is: SNTP version 4 (RFC 4330, RFC 5905) over UDP, by steps that never wait.

A reply counts only if it answers this very question: from the address asked, mode 4, stratum 1 to 15, synchronized, and
with our own stamp in it, which is a random number (so that nobody can guess an answer, and we tell nobody our time).
"""

import errno
import socket
import struct

from bourn._compat.system import random_bytes

PORT = 123
TIMEOUT_MS = 1000
LOOK_MS = 20  # how often an answer is looked for; half of it is how late it may be noticed, on the average
BACKOFF_MS = 4000  # the first pause after a failure; doubled up to
BACKOFF_CAP_MS = 1024000  # this, as RFC 5905 has it
AGAIN_MS = 6 * 3600 * 1000  # between two settings: a quartz of 20 ppm is off by less than half a second then
ERA_MS = (1 << 32) * 1000
NTP_EPOCH_MS = 2208988800000  # from 1900 to 1970


class ReplyError(ValueError):
    """A reply that does not count; `kiss` is the code of a server that wants to be left alone."""

    def __init__(self, text, kiss=""):
        super().__init__(text)
        self.kiss = kiss


def request(nonce):
    """The 48 bytes of a question; `nonce` are 8 random bytes."""
    return b"\x23" + bytes(39) + nonce  # no leap warning, version 4, mode 3 (client)


def _ms(seconds, fraction):
    """A time stamp as ms since 1970: of the era that ends in 2036, or, when its highest bit is 0, of the next one."""
    ms = seconds * 1000 + (fraction * 1000 >> 32) - NTP_EPOCH_MS
    return ms if seconds >> 31 else ms + ERA_MS


def read(data, nonce):
    """(when the server received the question, when it answered), in ms since 1970. ReplyError if it does not count."""
    if len(data) < 48:
        raise ReplyError("a reply of %d bytes, not 48" % len(data))
    first, stratum = data[0], data[1]
    if data[24:32] != nonce:
        raise ReplyError("it answers another question")
    if first & 7 != 4 or not 1 <= first >> 3 & 7 <= 4:
        raise ReplyError("no reply of a server (mode %d)" % (first & 7))
    if stratum == 0:
        kiss = "".join([chr(c) for c in data[12:16] if 32 < c < 127])
        raise ReplyError("it wants to be left alone (%s)" % kiss, kiss or "?")
    if stratum > 15 or first >> 6 == 3:
        raise ReplyError("it does not know the time itself")
    received = struct.unpack(">II", data[32:40])
    sent = struct.unpack(">II", data[40:48])
    if (0, 0) in (sent, received):
        raise ReplyError("it says no time")
    delay, dispersion = struct.unpack(">II", data[4:12])
    if (delay >= 1 << 16 and delay < 1 << 31) or dispersion >= 1 << 16:  # seconds and parts of 65536
        raise ReplyError("it is not sure to a second")
    received = _ms(*received)
    sent = _ms(*sent)
    if sent < received:
        raise ReplyError("it answers before it is asked")
    return received, sent


class TimeLink:
    """Sets `clock` (a BoardClock) by the server `host`, at once and again every six hours.

    `keep(scheduler)`, or `step()`, which says in how many ms to call it again. `counters`, `last_error` and `error_ms`
    (how far off the last setting may be: half of the way there and back) say how it goes.
    """

    def __init__(self, clock, host="pool.ntp.org", port=PORT, random=random_bytes):
        self.clock = clock
        self.host = host
        self.counters = {"asked": 0, "set": 0, "failures": 0}
        self.last_error = None
        self.error_ms = None
        self._port = port
        self._random = random
        self._socket = None
        self._nonce = b""
        self._asked_at = 0
        self._in_row = 0
        self._task = None

    def keep(self, scheduler):
        """From now on the scheduler steps it; called again, as when there is a network now, it does so at once."""
        if self._task is not None:
            self._task.cancel()
        pause = self.step()
        self._task = scheduler.schedule_later_one_time(lambda: self.keep(scheduler), pause / 1000)

    def wait(self, ms):
        """Where nobody knows the time, ask and wait for it `ms` milliseconds at most; True when it is known."""
        end = self.clock.now() + ms
        while self.clock.offset is None and self.clock.now() < end:
            pause = self.step()
            if self.clock.offset is None:
                self.clock.sleep(max(1, min(pause, end - self.clock.now())))
        return self.clock.offset is not None

    def step(self):
        """Ask, or look for the answer; the ms after which to call again."""
        try:
            return self._look() if self._socket else self._ask()
        except (OSError, ValueError) as e:  # a ReplyError, or a time that cannot be
            return self._fail("%s: %s" % (self.host, e), getattr(e, "kiss", ""))

    def _ask(self):
        address = socket.getaddrinfo(self.host, self._port)[0]  # lwIP warns when asked for SOCK_DGRAM
        self._socket = socket.socket(address[0], socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(address[-1])  # what comes from elsewhere is not received
        self._nonce = self._random(8)
        self.counters["asked"] += 1
        self._asked_at = self.clock.now()
        self._socket.send(request(self._nonce))
        return LOOK_MS

    def _look(self):
        now = self.clock.now()
        try:
            data = self._socket.recv(128)
        except OSError as e:
            if e.args[0] != errno.EAGAIN:
                raise
            if now - self._asked_at >= TIMEOUT_MS:
                return self._fail("%s: no answer within a second" % self.host, "")
            return LOOK_MS
        try:
            received, sent = read(data, self._nonce)
        except ReplyError as e:
            if e.kiss or now - self._asked_at >= TIMEOUT_MS:
                raise
            self.last_error = "%s: %s" % (self.host, e)
            return LOOK_MS  # somebody else's; the true one may be under way
        way = max(0, (now - self._asked_at) - (sent - received))
        self.clock.set(sent + way // 2)
        self._done(way // 2)
        return AGAIN_MS

    def _done(self, error_ms):
        self.error_ms = error_ms
        self.last_error = None
        self.counters["set"] += 1
        self._in_row = 0
        self.close()

    def _fail(self, why, kiss):
        self.last_error = why
        self.counters["failures"] += 1
        self.close()
        pause = BACKOFF_CAP_MS if kiss else min(BACKOFF_CAP_MS, BACKOFF_MS << min(self._in_row, 16))
        self._in_row += 1
        return pause // 2 + int.from_bytes(self._random(2), "big") * (pause // 2) // 65535

    def close(self):
        """Forget the question that is under way."""
        if self._socket:
            self._socket.close()
            self._socket = None
