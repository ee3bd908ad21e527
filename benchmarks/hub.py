"""How fast readings go from sensors' processes to a committed row and back as an ack; and the plain ways beside it.

Each sensor is a process that sends frames it encoded beforehand, keeps `in_flight` readings unacknowledged, and notes
how long each ack took. So the figure is the hub's, not that of a sensor's outbox.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import sqlite3
import statistics
import tempfile
import time
from multiprocessing.connection import Connection

from bourn import wire
from bourn.hub.hub import Hub

TITLE = "The hub, end to end"
EPOCH = "0123456789abcdef"


def _frame(first: int, count: int) -> bytes:
    readings = [["bench", i, first + i] for i in range(count)]
    return wire.encode(wire.DATA, first, 1_700_000_000_000, readings)


def sensor(port: int, name: str, total: int, in_flight: int, frame: int, pipe: Connection) -> None:
    """Send `total` readings in frames of `frame`; tell the seconds it took and the latencies of the acks."""
    frames = [_frame(first, frame) for first in range(1, total + 1, frame)]
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(wire.encode(wire.HELLO, name, EPOCH, 1, {}))
    decoder = wire.Decoder()
    assert decoder.feed(link.recv(65536))[0][0] == wire.WELCOME
    pipe.send("ready")
    pipe.recv()
    sent_at: dict[int, float] = {}
    latencies = []
    sent = acked = 0
    began = time.perf_counter()
    while acked < total:
        while sent < total and sent + frame - acked <= in_flight:
            link.sendall(frames[sent // frame])
            sent += frame
            sent_at[sent] = time.perf_counter()
        for kind, body in decoder.feed(link.recv(65536)):
            assert kind == wire.ACK, body
            last = wire.decode(kind, body)[1]
            now = time.perf_counter()
            for number in range(acked + frame, last + 1, frame):
                latencies.append(now - sent_at.pop(number))
            acked = last
    pipe.send((time.perf_counter() - began, latencies))


async def end_to_end(sensors: int, in_flight: int, total: int, frame: int) -> tuple[float, float, float]:
    """Readings per second over all sensors, and the median and 99th percentile of the ack's latency in ms."""
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(os.path.join(folder, "bench.db"), in_flight=in_flight)
        await hub.start()
        port = int(hub.url.rpartition(":")[2])
        context = multiprocessing.get_context("spawn")
        pipes, processes = [], []
        for i in range(sensors):
            ours, theirs = context.Pipe()
            process = context.Process(target=sensor, args=(port, f"s{i}", total // sensors, in_flight, frame, theirs))
            process.start()
            pipes.append(ours)
            processes.append(process)
        loop = asyncio.get_running_loop()
        for pipe in pipes:
            await loop.run_in_executor(None, pipe.recv)
        began = time.perf_counter()
        for pipe in pipes:
            pipe.send("go")
        results = [await loop.run_in_executor(None, pipe.recv) for pipe in pipes]
        seconds = time.perf_counter() - began
        for process in processes:
            await loop.run_in_executor(None, process.join)
        await hub.stop()
        assert hub.stored == total // sensors * sensors, (hub.stored, total)
        latencies = sorted(latency for _, some in results for latency in some)
        p99 = latencies[int(len(latencies) * 0.99)]
        return hub.stored / seconds, statistics.median(latencies) * 1000, p99 * 1000


def plain_sqlite(total: int) -> float:
    """Rows per second of the usual way: one INSERT and commit each, sqlite3's defaults."""
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(os.path.join(folder, "plain.db"))
        db.execute("CREATE TABLE reading (ts, sensor, val)")
        began = time.perf_counter()
        for i in range(total):
            db.execute("INSERT INTO reading VALUES (?,?,?)", (i, "s", i))
            db.commit()
        return total / (time.perf_counter() - began)


def rows() -> list[tuple[str, float, float | None, float | None]]:
    """(what, readings per second, median ms, p99 ms), the plain way first."""
    table: list[tuple[str, float, float | None, float | None]] = [
        ("sqlite3, one INSERT and commit each, in one process, no network", plain_sqlite(2000), None, None)
    ]
    for sensors, in_flight, total, frame in (
        (1, 1, 4_000, 1),
        (5, 1, 10_000, 1),
        (1, 5, 10_000, 1),
        (5, 5, 30_000, 1),
        (1, 100, 200_000, 20),
        (5, 100, 300_000, 20),
        (1, 1000, 500_000, 250),
        (5, 1000, 1_000_000, 250),
    ):
        rate, median, p99 = asyncio.run(end_to_end(sensors, in_flight, total, frame))
        what = f"{sensors} sensor{'s' if sensors > 1 else ''}, {in_flight} in flight per link, frames of {frame}"
        table.append((what, rate, median, p99))
    return table


def section() -> str:
    """The table for RESULTS.md."""
    table = rows()
    plain = table[0][1]
    lines = ["| what | readings/s | beside the plain way | ack median | p99 |", "|---|---|---|---|---|"]
    for what, rate, median, p99 in table:
        latency = f"{median:.1f} ms | {p99:.1f} ms" if median is not None and p99 is not None else "- | -"
        lines.append(f"| {what} | {rate:,.0f} | {rate / plain:.1f}× | {latency} |")
    lines += [
        "",
        "From sensors' processes over TCP to a row in SQLite (WAL, synchronous FULL), each exactly once, and back as",
        "an ack after the commit. Sensors send frames encoded beforehand.",
    ]
    return "\n".join(lines)
