"""The hub's end of one connection: frames in, frames out, and every rule of the protocol about them.

    greeting --HELLO--> up --(HELLO of the next epoch)--> up --(closed, refused)--> closed
    greeting --HELLO--> challenged --PROOF--> up          where the source has a key, or needs one

Whatever is wrong with what comes in refuses this link, with a reason, and touches no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from typing import TYPE_CHECKING, Any

from bourn import wire
from bourn.hub.decode import decode_data
from bourn.spool import Gap

if TYPE_CHECKING:
    from bourn.hub.ingest import Ingest
    from bourn.spool.sqlite import Stream

HELLO_S = 10.0  # in which a new connection has to say who it is
SILENCE_S = 90.0  # after which a link is taken for dead; senders ask (PING) after 30
UNUSED_CREDIT_S = 5.0  # in which lent credit has to be used, since others wait for it
GOODBYE_S = 0.5  # in which a refused peer may still read why
WRITE_BUFFER = 262_144  # bytes of answers that a peer may leave unread


class Link(asyncio.Protocol):
    """One sender's connection, as the ingest and the page see it. There may be ten thousand: hence the slots."""

    __slots__ = (
        "_challenged", "_decoder", "_grants", "_transport", "acked", "acked_before", "closed", "credit", "duplicates",
        "heard", "in_flight", "ingest", "opened", "peer", "runtime", "source", "stream", "trusted", "waiting",
    )  # fmt: skip

    def __init__(self, ingest: Ingest, trusted: bool = True) -> None:
        """`trusted`: whoever can reach this link may write under any name that has no key."""
        self.ingest = ingest
        self.trusted = trusted
        self.source: str | None = None
        self.peer = "?"
        self.runtime = ""  # what it says to be
        self.waiting: int | None = None  # how many readings its outbox held when it said HELLO, if it told
        self.stream: Stream | None = None
        self.credit = 0  # readings it may still send
        self.in_flight = 0  # readings received and not acknowledged
        self.acked = 0
        self.acked_before = 0  # of it, before the last HELLO
        self.duplicates = 0
        self.closed = False
        self.heard = self.opened = time.monotonic()
        self._decoder: wire.Decoder | None = None  # one of its own only while a frame is unfinished
        self._grants: list[tuple[float, int]] | None = None  # credit lent and not used, oldest first
        self._transport: asyncio.Transport | None = None
        self._challenged: tuple[Any, ...] | None = None  # nonce and HELLO that await their PROOF

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")  # of a broker's it is the broker's URL
        self.peer = (
            f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else peer if isinstance(peer, str) and peer else "local"
        )
        if not self.ingest.opened(self):
            self.turn_away()

    def data_received(self, data: bytes) -> None:
        """Bytes came in, cut anywhere."""
        if self.closed:
            return
        self.heard = time.monotonic()
        decoder = self._decoder or self.ingest.decoder
        try:
            for kind, body in decoder.feed(data):
                self._take(kind, body)
        except wire.FrameError as e:
            self.refuse(e.code, str(e))
        except Exception as e:  # the edge of a link (the journal could not be asked, say): told, and no other's trouble
            self.refuse("internal", f"{type(e).__name__}: {e}")
        unfinished = bool(decoder.rest)
        if self._decoder is None and unfinished:
            self._decoder, self.ingest.decoder = decoder, wire.Decoder()
        elif not unfinished:
            self._decoder = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        self.closed = True
        self._transport = None
        self.ingest.lost(self, str(exc) if exc else None)

    @property
    def trouble(self) -> str | None:
        """Why nothing can come over it for now, although it is not closed."""
        return None

    # -- what the ingest says

    def grant(self, n: int) -> None:
        """The network has credit for `n` of the readings that were asked for."""
        self.credit += n
        if self.ingest.pool:
            if self._grants is None:
                self._grants = []
            self._grants.append((time.monotonic(), n))
        self.say(wire.CREDIT, n)

    def acknowledge(self, stream: Stream, readings: int) -> None:
        """Everything of `stream` up to its committed number is on disk, `readings` of it since the last time."""
        self.in_flight -= readings
        self.acked += readings
        if not self.ingest.pool:
            self.credit += readings
        if not self.closed and stream is self.stream:
            self.say(wire.ACK, stream.epoch, stream.committed)

    def say(self, kind: int, *values: Any) -> None:
        """Send one frame."""
        if self._transport is None or self.closed:
            return
        if self._transport.get_write_buffer_size() > WRITE_BUFFER:
            self.ingest.note(self, "closed: it does not read its acknowledgements")
            self._transport.abort()
            return
        frame = wire.encode(kind, *values)
        try:
            self._transport.write(frame)
        except Exception as e:  # the edge of a link: who says something here must not end by it
            self.closed = True
            self.ingest.note(self, f"closed: {type(e).__name__}: {e}")
            self._transport.abort()

    def refuse(self, code: str, text: str) -> None:
        """Say why, and close; what comes meanwhile is thrown away."""
        if self.closed:
            return
        self.say(wire.REFUSE, code, text[:200])
        self.closed = True
        self.ingest.refused(self, code, text)
        if self._transport is not None:
            _close_soon(self._transport)

    def turn_away(self) -> None:
        """There are as many links as there may be: say so, and close."""
        transport = self._transport
        assert transport is not None
        self.closed = True
        transport.write(wire.encode(wire.REFUSE, "full", "as many links as there may be; try again later"))
        if self.ingest.turned_away(self):
            _close_soon(transport)
        else:  # so many at once that no descriptor can be kept for it: the word is on its way, and the end right behind
            transport.abort()

    def resume(self) -> None:
        """After `pause`; silence in between was not the peer's."""
        if self._transport is not None and not self.closed:
            self.heard = self.opened = time.monotonic()
            self._transport.resume_reading()

    def pause(self) -> None:
        """Take nothing more in; what was taken is still acknowledged."""
        if self._transport is not None and not self.closed:
            self._transport.pause_reading()

    def close(self) -> None:
        """Close after what was said has been sent."""
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    def check(self, now: float) -> None:
        """Called every second: close what is dead, and what holds credit that others wait for."""
        if self.source is None:
            if now - self.opened > HELLO_S:
                self.refuse("hello", f"no HELLO within {HELLO_S:.0f} s")
        elif now - self.heard > SILENCE_S:
            self.refuse("silent", f"nothing was heard for {SILENCE_S:.0f} s")
        elif self._grants and now - self._grants[0][0] > UNUSED_CREDIT_S:
            self.refuse("credit", f"credit for {self.credit} readings unused for {UNUSED_CREDIT_S:.0f} s")

    # -- what the sender says

    def _take(self, kind: int, body: bytes) -> None:
        if self.closed:  # by the frame before this one
            return
        if kind == wire.DATA:
            self._take_data(body)
            return
        values = wire.decode(kind, body)
        if kind == wire.HELLO:
            self._take_hello(*values[:4])
        elif kind == wire.PROOF:
            self._take_proof(values[0])
        elif kind == wire.PING:
            self.say(wire.PONG, values[0], time.time_ns() // 1_000_000)  # for boards that have no time server
        elif kind == wire.GAP:
            self._take_gap(*values[:3])
        elif kind == wire.WANT and self.ingest.pool and self.source:
            self.ingest.pool.want(self, values[0])
        elif kind == wire.CREDIT and self.ingest.pool and values[0] <= self.credit:
            self._spend(values[0])
            self.ingest.pool.forget(self)  # or it would be lent the same again, to give it back again
            self.ingest.pool.give_back(values[0])
        elif kind != wire.PONG:
            raise wire.FrameError("kind", f"a {wire.name_of(kind)} frame that a sender may not send now")

    def _take_hello(self, source: str, epoch: str, oldest: int, about: dict[str, Any]) -> None:
        if not wire.source_ok(source) or (self.source and source != self.source):
            raise wire.FrameError("source", f"the source's name {source[:80]!r} is not allowed here")
        if len(epoch) != 16 or set(epoch) - set("0123456789abcdef"):
            raise wire.FrameError("epoch", "an epoch is 16 hexadecimal digits")
        self.runtime = sys.intern(_text(str(about.get("runtime", "")), 64))
        waiting = about.get("waiting")  # in its outbox, those included that the hub has already
        self.waiting = waiting if type(waiting) is int else None
        if self.source is None and not self.ingest.lets_in(source, self.trusted):
            nonce = secrets.token_hex(16)
            self._challenged = (nonce, source, epoch, oldest)
            self.say(wire.CHALLENGE, nonce, self.ingest.journal.hub)
        else:
            self._greet(source, epoch, oldest)

    def _take_proof(self, proof: str) -> None:
        if self._challenged is None:
            raise wire.FrameError("kind", "a PROOF that nobody asked for")
        nonce, source, epoch, oldest = self._challenged
        self._challenged = None
        if not self.ingest.proves(proof, source, epoch, nonce):
            raise wire.FrameError("key", f"{source} did not prove its key; see `bourn keys add {source}`")
        self._greet(source, epoch, oldest)

    def _greet(self, source: str, epoch: str, oldest: int) -> None:
        stream = self.ingest.journal.stream(source, epoch)
        self.release()
        self.source = source
        self.acked_before = self.acked
        self.stream = stream
        self.ingest.greeted(self)
        if stream.last < oldest - 1:  # what is before `oldest` was acknowledged by someone else, or dropped
            self.ingest.take_gap(self, stream, Gap(stream.last + 1, oldest - 1, "trimmed"))
        pool = self.ingest.pool
        self.credit = 0 if pool else self.ingest.in_flight - self.in_flight
        # A gap that is taken but not committed yet must not be asked for; everything else is told as committed only.
        last = max(stream.committed, oldest - 1)
        if self.waiting is not None:
            self.waiting = max(0, self.waiting - (last - oldest + 1))
        self.say(wire.WELCOME, epoch, last, self.credit, bool(pool), self.ingest.journal.hub)

    def _take_data(self, body: bytes) -> None:
        stream = self.stream
        if stream is None:
            raise wire.FrameError("hello", "DATA before HELLO")
        first, rows, suspicious = decode_data(body)
        readings_sent = len(rows)
        if readings_sent > self.credit:
            raise wire.FrameError("credit", f"{readings_sent} readings with credit for {self.credit}")
        self._spend(readings_sent)
        if first > stream.last + 1:
            self._say_nack(stream)
            self.ingest.give_back(self, readings_sent)
            return
        known = stream.last + 1 - first
        if known > 0:
            self.duplicates += min(known, readings_sent)
            rows = rows[known:]
        self.in_flight += readings_sent
        self.ingest.take(self, stream, rows, first + readings_sent - 1, readings_sent, suspicious, len(body))

    def _take_gap(self, first: int, last: int, reason: str) -> None:
        stream = self.stream
        if stream is None:
            raise wire.FrameError("hello", "GAP before HELLO")
        if not 1 <= first <= last:
            raise wire.FrameError("shape", "a GAP that ends before it begins")
        if first > stream.last + 1:
            self._say_nack(stream)
        elif last > stream.last:
            self.ingest.take_gap(self, stream, Gap(stream.last + 1, last, _text(reason, 32)))
        else:  # it came before, perhaps in a batch that is still being committed
            self.ingest.promise(self, stream, last, 0)

    def _say_nack(self, stream: Stream) -> None:
        """Go on from what is on disk: what was taken after it may come again, and is not to be forgotten yet."""
        self.say(wire.NACK, stream.epoch, stream.committed + 1)

    def release(self) -> None:
        """Give back credit that was not used, and want no more."""
        pool = self.ingest.pool
        if pool:
            pool.forget(self)
            unused, self.credit, self._grants = self.credit, 0, None
            pool.give_back(unused)

    def _spend(self, n: int) -> None:
        """Credit is used, the oldest first."""
        self.credit -= n
        grants = self._grants
        while grants and n > 0:
            since, lent = grants.pop(0)
            if lent > n:
                grants.insert(0, (since, lent - n))
            n -= lent


def _close_soon(transport: asyncio.Transport) -> None:
    """Close when the peer has had time to read; at once, with bytes unread, would reset the connection before that."""
    if transport.can_write_eof():
        with contextlib.suppress(OSError):  # it has gone already
            transport.write_eof()
    asyncio.get_running_loop().call_later(GOODBYE_S, transport.abort)


def _text(said: str, n: int) -> str:
    """At most `n` characters of what a peer said: JSON can hold half a surrogate pair, UTF-8 and SQLite cannot."""
    return said[:n].encode("utf-8", "replace").decode()
