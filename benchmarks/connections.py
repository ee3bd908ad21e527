"""How fast each connection carries readings from one process (or thread) to another, beside the plain way of its kind.

Ours: frames encoded beforehand, through the sender's channel, cut, decoded and checked at the hub's end; no journal.
Plain: what one writes without a library, JSON where the kind has no messages of its own. One by one is a frame, or
message, of one reading each; batched is 100 readings in each. An array is one reading of 60 KB as JSON; a frame has
room for 64.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import queue
import select
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import shared_memory
from typing import Any

from bourn import process_queue, wire
from bourn.device.connections import open_connection, socket_interest
from bourn.hub.connections import listen
from bourn.hub.decode import decode_data

TITLE = "Connections"
FORK = multiprocessing.get_context("fork")
ARRAY = [1000 + i % 9000 for i in range(12_000)]
SIZES = {"one by one": 40_000, "batches of 100": 500_000, "arrays of 60 KB": 1200}  # readings
ROUNDS = 3  # the best counts: the machine may be busy with something else


def reading(i: int) -> list[Any]:
    """About 70 bytes as JSON."""
    return ["greenhouse/bench/temperature", i, {"value": 21.5, "unit": "Celsius"}]


def batches(kind: str) -> Iterator[list[Any]]:
    """What is sent, message by message."""
    total = SIZES[kind]
    if kind == "arrays of 60 KB":
        yield from ([["array", i, ARRAY]] for i in range(total))
    elif kind == "one by one":
        yield from ([reading(i)] for i in range(total))
    else:
        batch = [reading(i) for i in range(100)]
        yield from (batch for _ in range(total // 100))


def frames(kind: str) -> list[bytes]:
    """The same as DATA frames."""
    first, found, known = 1, [], {}
    for batch in batches(kind):
        if kind == "one by one":
            found.append(wire.encode(wire.DATA, first, 0, batch))
        else:  # the numbers do not matter here, and encoding is not what is measured
            found.append(known.setdefault(kind, wire.encode(wire.DATA, 1, 0, batch)))
        first += len(batch)
    return found


# -- ours


class Counting(asyncio.Protocol):
    """The hub's end: cuts, decodes and counts."""

    def __init__(self, total: int) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._left = total
        self._decoder = wire.Decoder()

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        for _, body in self._decoder.feed(data):
            self._left -= len(decode_data(body)[1])
        if self._left == 0 and not self.done.done():
            self.done.set_result(time.perf_counter())


def push(url: str, kind: str, ready: Any, go: Any, queues: Any = None) -> None:
    """The sender's end: every frame with a call of its own. With `queues`: inherited."""
    if queues is not None:
        process_queue.inherit(queues)
    made = frames(kind)
    channel = open_connection(url)
    polled = getattr(channel, "polled", channel)
    interest = getattr(channel, "interest", socket_interest)
    poller = select.poll()
    poller.register(polled, select.POLLIN | select.POLLOUT)
    ready.set()
    go.wait()
    for frame in made:
        rest = frame
        while rest:
            try:
                rest = rest[channel.send(rest) :]
            except BlockingIOError:
                poller.modify(polled, interest(True))
                poller.poll(1000)
                try:
                    channel.recv(4096)
                except BlockingIOError:
                    continue
    while interest(False) & select.POLLOUT:  # it has taken all, but not told the other side yet
        poller.modify(polled, interest(False))
        poller.poll(1000)
    go.clear()
    go.wait(30)  # until the other side has it all
    channel.close()


async def ours(scheme: str, kind: str) -> float:
    """Readings per second over one connection."""
    made: list[Counting] = []

    def make() -> Counting:
        made.append(Counting(SIZES[kind]))
        return made[-1]

    with tempfile.TemporaryDirectory() as folder:
        fixed = {"tcp": "tcp://127.0.0.1:0", "queue": "queue:bench", "pipe": "pipe:", "mpqueue": "mpqueue:"}
        url = fixed.get(scheme, f"{scheme}:{folder}/s")
        listener = await listen(url, make)
        invitation = await listener.invite()
        # What inherits queues is started as the hub starts it: not forked, for it has threads.
        processes: Any = process_queue.CONTEXT if scheme == "mpqueue" else FORK
        events: Any = threading if scheme == "queue" else processes
        runner: Any = threading.Thread if scheme == "queue" else processes.Process
        ready, go = events.Event(), events.Event()
        sender = runner(target=push, args=(invitation.url, kind, ready, go, invitation.queues))
        sender.start()
        if scheme != "queue":
            invitation.close()
        await asyncio.to_thread(ready.wait)
        while not made:
            await asyncio.sleep(0.001)
        began = time.perf_counter()
        go.set()
        ended = await asyncio.wait_for(made[0].done, 120)
        go.set()
        await asyncio.to_thread(sender.join)
        listener.close()
    return SIZES[kind] / (ended - began)


# -- the plain ways


def plain(kind: str, make: Callable[[], tuple[Any, Callable[..., None], Callable[[], int]]], thread: bool) -> float:
    """Readings per second: `make()` gives what both ends share, what puts one message, and what gets one's length."""
    ends, put, get = make()
    runner: Any = threading.Thread if thread else FORK.Process
    go = threading.Event() if thread else FORK.Event()

    def work() -> None:
        made = list(batches(kind))
        go.wait()
        for batch in made:
            put(batch)
        go.clear()
        go.wait(30)

    sender = runner(target=work)
    sender.start()
    time.sleep(1.5)  # it makes its messages
    began = time.perf_counter()
    go.set()
    left = SIZES[kind]
    while left > 0:
        left -= get()
    seconds = time.perf_counter() - began
    go.set()
    sender.join()
    for end in ends:
        end.close()
    return SIZES[kind] / seconds


def tcp_lines() -> tuple[Any, Any, Any]:
    """TCP, a line of JSON each."""
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    far = listener.accept()[0]
    file = far.makefile("rb")
    return (
        (listener, near, far, file),
        lambda batch: near.sendall(json.dumps(batch).encode() + b"\n"),
        lambda: len(json.loads(file.readline())),
    )


def unix_lines() -> tuple[Any, Any, Any]:
    """A socket pair, a line of JSON each."""
    near, far = socket.socketpair()
    file = far.makefile("rb")
    return (
        (near, far, file),
        lambda batch: near.sendall(json.dumps(batch).encode() + b"\n"),
        lambda: len(json.loads(file.readline())),
    )


def mp_pipe() -> tuple[Any, Any, Any]:
    """multiprocessing.Pipe: pickled."""
    far, near = FORK.Pipe(duplex=False)
    return (near, far), near.send, lambda: len(far.recv())


def mp_queue() -> tuple[Any, Any, Any]:
    """multiprocessing.Queue: pickled, by a thread of its own."""
    q = FORK.Queue(1000)
    return (q,), q.put, lambda: len(q.get())


def thread_queue() -> tuple[Any, Any, Any]:
    """queue.Queue: the objects themselves, nothing is encoded."""
    q: queue.Queue[Any] = queue.Queue(1000)
    return (), q.put, lambda: len(q.get())


class Ring:
    """The usual ring of length-prefixed JSON in multiprocessing.shared_memory, that both sides poll."""

    def __init__(self) -> None:
        self._memory = shared_memory.SharedMemory(create=True, size=(1 << 20) + 16)
        self._at = memoryview(self._memory.buf)[:16].cast("Q")  # written, read
        self._data = memoryview(self._memory.buf)[16:]

    def put(self, batch: Any) -> None:
        """Wait for room, polling."""
        body = json.dumps(batch).encode()
        body = struct.pack("<I", len(body)) + body
        while self._at[0] + len(body) - self._at[1] > len(self._data):
            time.sleep(0)
        self._copy(self._at[0], body)
        self._at[0] += len(body)

    def get(self) -> int:
        """Wait for a message, polling."""
        while self._at[0] == self._at[1]:
            time.sleep(0)
        (n,) = struct.unpack("<I", self._read(self._at[1], 4))
        found = json.loads(self._read(self._at[1] + 4, n))
        self._at[1] += n + 4
        return len(found)

    def _copy(self, at: int, body: bytes) -> None:
        at %= len(self._data)
        first = min(len(body), len(self._data) - at)
        self._data[at : at + first] = body[:first]
        self._data[: len(body) - first] = body[first:]

    def _read(self, at: int, n: int) -> bytes:
        at %= len(self._data)
        first = min(n, len(self._data) - at)
        return bytes(self._data[at : at + first]) + bytes(self._data[: n - first])

    def close(self) -> None:
        """Give the memory back."""
        self._at.release()
        self._data.release()
        self._memory.close()
        self._memory.unlink()


def shared_ring() -> tuple[Any, Any, Any]:
    """See Ring."""
    ring = Ring()
    return (ring,), ring.put, ring.get


WAYS: tuple[tuple[str, str, Callable[[], tuple[Any, Any, Any]], bool], ...] = (
    ("tcp", "TCP, JSON lines", tcp_lines, False),
    ("unix", "socket pair, JSON lines", unix_lines, False),
    ("pipe", "multiprocessing.Pipe", mp_pipe, False),
    ("mpqueue", "multiprocessing.Queue", mp_queue, False),
    ("shm", "ring in shared memory, JSON, polled", shared_ring, False),
    ("queue", "queue.Queue, threads, objects", thread_queue, True),
)


def section() -> str:
    """The table for RESULTS.md."""
    kinds = list(SIZES)
    lines = ["| connection | " + " | ".join(kinds) + " |", "|---|" + "---|" * len(kinds)]
    figures: dict[str, list[float]] = {}
    for scheme in dict.fromkeys(way[0] for way in WAYS):
        figures[scheme] = [max(asyncio.run(ours(scheme, kind)) for _ in range(ROUNDS)) for kind in kinds]
        lines.append(f"| **{scheme}:** | " + " | ".join(f"{n:,.0f}" for n in figures[scheme]) + " |")
    for scheme, name, make, thread in WAYS:
        plains = [max(plain(kind, make, thread) for _ in range(ROUNDS)) for kind in kinds]
        cells = [f"{n:,.0f} ({ours / n:.1f}×)" for n, ours in zip(plains, figures[scheme], strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Readings per second, the best of three. In brackets: how many times as fast ours of that kind is. Ours is",
        "checked on arrival and has been encoded before; the plain ways encode as they send, and check nothing. An",
        "array is of 12,000 numbers, 60 KB as JSON.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(os.getloadavg(), section())
