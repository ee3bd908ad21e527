"""A sender that says whatever a test wants, byte by byte, over a real socket; and a hub for it in the same loop."""

import asyncio
import contextlib
import json
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest

from bourn import wire
from bourn.hub.hub import Hub

LIMIT_S = 30  # of any single answer; nothing here comes near it
EPOCH = "0123456789abcdef"


@contextlib.asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[Hub]:
    """A hub over the journal `folder`/j.db, stopped at the end."""
    hub = Hub(str(folder / "j.db"), **settings)
    try:
        await hub.start()
        yield hub
    finally:
        await asyncio.wait_for(hub.stop(), LIMIT_S)


def rows(folder: Path, query: str) -> list[Any]:
    """What a query of the journal gives."""
    with contextlib.closing(sqlite3.connect(folder / "j.db")) as db:
        return db.execute(query).fetchall()


def readings(folder: Path) -> list[Any]:
    """(source, epoch, seq, val) of every reading stored, in the order in which they were taken."""
    return rows(
        folder, "SELECT source, epoch, seq, val FROM reading JOIN stream ON stream.id = reading.stream ORDER BY pos"
    )


def data(first: int, *vals: Any, t0: int = 1000, sensor: str = "s") -> bytes:
    """A DATA frame of plain readings."""
    return wire.encode(wire.DATA, first, t0, [[sensor, i, val] for i, val in enumerate(vals)])


def data_text(first: int, *readings: str) -> bytes:
    """A DATA frame of readings given as JSON text, be it good or bad."""
    return wire.encode_body(wire.DATA, f"[{first},1000,[{','.join(readings)}]]".encode())


def as_json(text: str, kind: int = wire.DATA) -> bytes:
    """A frame with any text as its body."""
    return wire.encode_body(kind, text.encode("utf-8", "surrogatepass"))


class Gate:
    """Holds the commits of a hub: `shut()`, and they wait in their thread until `open()`, or one of them may pass."""

    def __init__(self, hub: Hub) -> None:
        self._permits = threading.Semaphore(0)
        self._open = True
        self._waiting = threading.Semaphore(0)  # commits that have come to the gate
        commit = hub.journal.commit

        def gated() -> None:
            if not self._open:
                self._waiting.release()
                assert self._permits.acquire(timeout=2 * LIMIT_S)
            commit()

        hub.journal.commit = gated  # type: ignore[method-assign]  # the gate stands before the real one

    def shut(self) -> None:
        self._open = False
        while self._permits.acquire(blocking=False):
            pass

    def open(self) -> None:
        self._open = True
        self._permits.release(1000)

    def pass_one(self) -> None:
        self._permits.release()

    async def closed_on_someone(self) -> None:
        """Wait until one more commit stands before the gate."""
        assert await asyncio.to_thread(self._waiting.acquire, timeout=LIMIT_S)


class Peer:
    """One connection. `send` takes whole frames as bytes; `receive` gives what the hub said, frame by frame."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._decoder = wire.Decoder()
        self._frames: list[tuple[int, Any]] = []
        self.credit = 0
        self.shared = False
        self.epoch = ""
        self.next = 1

    @classmethod
    async def connect(cls, url: str, receive_buffer: int | None = None) -> Self:
        host, port = url.removeprefix("tcp://").rsplit(":", 1)
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    @classmethod
    async def greeted(cls, url: str, source: str, epoch: str = EPOCH, oldest: int = 1) -> Self:
        peer = await cls.connect(url)
        await peer.hello(source, epoch, oldest)
        return peer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    async def send(self, *frames: bytes) -> None:
        """All of it in one call of `send`, as far as the socket takes it."""
        async with asyncio.timeout(LIMIT_S):
            await asyncio.get_running_loop().sock_sendall(self._socket, b"".join(frames))

    async def receive(self) -> tuple[int, Any]:
        """The next frame of the hub. EOFError when it closed the connection."""
        async with asyncio.timeout(LIMIT_S):
            while not self._frames:
                got = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
                if not got:
                    raise EOFError("the hub has closed the connection")
                self._frames += [(kind, json.loads(body)) for kind, body in self._decoder.feed(got)]
        return self._frames.pop(0)

    async def expect(self, kind: int) -> Any:
        """The values of the next frame, which is of this kind."""
        got, values = await self.receive()
        assert got == kind, f"{wire.name_of(got)} {values} instead of {wire.name_of(kind)}"
        return values

    async def quiet(self) -> None:
        """The hub has nothing more to say than the answer to a question."""
        await self.send(wire.encode(wire.PING, 77))
        number, wall = await self.expect(wire.PONG)
        assert number == 77 and abs(wall - time.time() * 1000) < 10_000

    async def refused(self) -> str:
        """The code of the hub's REFUSE, after which it hears nothing more and says nothing more."""
        kind, values = await self.receive()
        while kind in {wire.ACK, wire.CREDIT}:
            kind, values = await self.receive()
        assert kind == wire.REFUSE, f"{wire.name_of(kind)} {values} instead of REFUSE"
        code, text = values
        assert text, "a refusal says why"
        with pytest.raises((EOFError, ConnectionResetError)):  # reset, when something was still on its way there
            await self.receive()
        return str(code)

    async def hello(self, source: str, epoch: str = EPOCH, oldest: int = 1) -> Any:
        """Greet; what the hub's WELCOME holds."""
        await self.send(wire.encode(wire.HELLO, source, epoch, oldest, {"runtime": "test"}))
        welcome = await self.expect(wire.WELCOME)
        assert welcome[0] == epoch
        self.epoch = epoch
        self.next = welcome[1] + 1
        self.credit = welcome[2]
        self.shared = welcome[3]
        return welcome

    async def borrow(self, n: int) -> None:
        """Ask for credit until there is enough for `n` readings."""
        if self.shared and self.credit < n:
            await self.send(wire.encode(wire.WANT, n - self.credit))
            while self.credit < n:
                self.credit += (await self.expect(wire.CREDIT))[0]

    async def deliver(self, *vals: Any) -> None:
        """Send readings as one frame, as a good sender does, and wait until they are acknowledged."""
        await self.borrow(len(vals))
        await self.send(data(self.next, *vals))
        self.next += len(vals)
        await self.acked(self.next - 1)
        if self.shared:
            self.credit -= len(vals)

    async def acked(self, last: int) -> None:
        """Wait until everything up to `last` is acknowledged, and nothing else is said."""
        while True:
            epoch, number = await self.expect(wire.ACK)
            assert epoch == self.epoch and number <= last
            if number == last:
                return

    async def acked_beyond(self, last: int) -> None:
        """As `acked`, where the hub may know of more than was sent here."""
        while (await self.expect(wire.ACK))[1] < last:
            pass

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """Go without a word, as a peer does whose machine lost its power and came back."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._socket.close()
