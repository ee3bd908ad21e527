"""Memory and its doorbell: whatever is written is told, also where the doorbell takes nothing for a while."""

import asyncio
import os
import random
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flooder import stream

from bourn.hub.connections import listen, shared_memory
from bourn.shared_ring import SharedRing, make_memory

TOTAL = 100_000  # bytes each way through rings of a few hundred: hundreds of wraps
LIMIT_S = 60


@pytest.fixture
def pair() -> Iterator[tuple[SharedRing, SharedRing]]:
    """Both ends of small rings, in one process; the doorbell of the first takes a few messages only."""
    near, far = socket.socketpair()
    for end in (near, far):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    fd, _ = make_memory(1024, 1024)
    ends = (SharedRing(near, os.dup(fd), (0, 1024), (1024, 1024)), SharedRing(far, fd, (1024, 1024), (0, 1024)))
    yield ends
    for one in ends:
        one.close()


def heard(ring: SharedRing) -> bytes:
    """All that has been told to this end."""
    found = b""
    while pieces := ring.pieces():
        found += b"".join(pieces)
        ring.free(pieces)
    return found


def test_what_was_written_while_the_doorbell_was_full_is_told_when_it_is_not(
    pair: tuple[SharedRing, SharedRing],
) -> None:
    """Some of it is in the message that waits, the rest came after: both have to be told, or nobody ever wakes."""
    near, far = pair
    while not near.untold():
        near.send(b"x")
    told = 1024 - near.room()
    near.send(b"y" * 100)
    assert near.untold()
    came = heard(far)
    while near.untold():
        near.ring()
        came += heard(far)
    assert came == b"x" * told + b"y" * 100


def test_a_full_ring_always_has_room_again(pair: tuple[SharedRing, SharedRing]) -> None:
    """Its writer waits for nothing but a message, and has told all: so the reader empties it, and says so."""
    near, far = pair
    for _ in range(50):
        while near.room():
            near.send(b"z")
        assert near.room() == 0
        while near.untold():
            heard(far)
            near.ring()
        heard(far)
        assert near.socket.recv(8, socket.MSG_PEEK), "nobody is told of the room"
        assert heard(near) == b""
        assert near.room() > 0


class Flood(asyncio.Protocol):
    """The hub's end: writes the stream in pieces of its own, looks at what comes, and stops reading now and then."""

    def __init__(self, seed: int, total: int) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._total = total
        self._chance = random.Random(seed)
        self._wrote = self._heard = 0

    def connection_made(self, transport: Any) -> None:
        """Somebody to flood; its doorbell takes as little as there is."""
        self._transport = transport
        transport._ring.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        while self._wrote < self._total and self._transport.get_write_buffer_size() < 2000:
            piece = stream(self._wrote, min(self._total - self._wrote, self._chance.randint(1, 700)))
            self._wrote += len(piece)
            self._transport.write(piece)
        if self._wrote < self._total:
            asyncio.get_running_loop().call_later(self._chance.random() / 1000, self._write)

    def data_received(self, data: Any) -> None:
        """Some of the other stream."""
        data = bytes(data)
        if data != stream(self._heard, len(data)):
            self.done.set_exception(AssertionError(f"not what was written, from byte {self._heard} on"))
        self._heard += len(data)
        if self._chance.random() < 0.02:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(self._chance.random() / 200, self._resume)

    def _resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The sensor has ended."""
        if not self.done.done():
            self.done.set_result((self._wrote, self._heard))


@pytest.mark.parametrize("ring", [300, 4096])
@pytest.mark.parametrize(("up", "down"), [(TOTAL, TOTAL), (TOTAL, 0), (0, TOTAL)], ids=["both", "up", "down"])
def test_processes_flood_each_other_and_nobody_waits_for_ever(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, ring: int, up: int, down: int
) -> None:
    """Rings of a few hundred bytes, doorbells of a few messages, pauses on both sides: every byte, in its order."""
    monkeypatch.setattr(shared_memory, "make_memory", lambda: make_memory(ring, ring + 7))
    made: list[Flood] = []

    def make() -> Flood:
        made.append(Flood(seed, down))
        return made[-1]

    async def life() -> None:
        listener = await listen(f"shm:{tmp_path}/m.sock", make)
        flooder = str(Path(__file__).with_name("flooder.py"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, flooder, listener.url, *map(str, (seed + 1, up, down)), stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                _, complained = await process.communicate()
            assert process.returncode == 0, complained.decode()
            assert await made[0].done == (down, up)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            listener.close()

    asyncio.run(life())
