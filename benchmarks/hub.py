"""How fast readings go from sensors' processes to a committed row and back as an ack; and the plain ways beside it.

Each sensor is a process that sends frames it encoded beforehand, keeps `in_flight` readings unacknowledged, and notes
how long each ack took. So the figure is the hub's, not that of a sensor's outbox.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from bourn import wire
from bourn.hub.hub import Hub

TITLE = "The hub, end to end"
EPOCH = "0123456789abcdef"


def _frame(first: int, count: int) -> bytes:
    readings = [["bench", i, first + i] for i in range(count)]
    return wire.encode(wire.DATA, first, 1_700_000_000_000, readings)


def sensor(port: int, name: str, total: int, in_flight: int, frame: int, pipe: Connection) -> None:
    """Send `total` readings in frames of `frame`; tell the seconds it took and the latencies of the acks.

    Where the hub lends credit, a frame waits until there is credit for it; its latency counts from when it was sent.
    """
    frames = [_frame(first, frame) for first in range(1, total + 1, frame)]
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(wire.encode(wire.HELLO, name, EPOCH, 1, {}))
    decoder = wire.Decoder()
    kind, body = decoder.feed(link.recv(65536))[0]
    assert kind == wire.WELCOME
    shared = wire.decode(kind, body)[3]
    pipe.send("ready")
    pipe.recv()
    sent_at: dict[int, float] = {}
    latencies = []
    sent = acked = wanted = 0
    credit = 0 if shared else in_flight
    began = time.perf_counter()
    while acked < total:
        while sent < total and frame <= credit:
            link.sendall(frames[sent // frame])
            sent += frame
            credit -= frame
            sent_at[sent] = time.perf_counter()
        if shared and sent < total and not wanted:
            wanted = min(in_flight, total - sent)
            link.sendall(wire.encode(wire.WANT, wanted))
        for kind, body in decoder.feed(link.recv(65536)):
            number = wire.decode(kind, body)[-1]
            if kind == wire.CREDIT:
                credit += number
                wanted -= number
                continue
            assert kind == wire.ACK, body
            now = time.perf_counter()
            for end in range(acked + frame, number + 1, frame):
                latencies.append(now - sent_at.pop(end))
            credit += 0 if shared else number - acked
            acked = number
    pipe.send((time.perf_counter() - began, latencies))


async def end_to_end(
    sensors: int, in_flight: int, total: int, frame: int, network: bool = False
) -> tuple[float, float, float]:
    """Readings per second over all sensors, and the median and 99th percentile of the ack's latency in ms.

    `in_flight` is meant per link, or with `network` over all links together.
    """
    with tempfile.TemporaryDirectory() as folder:
        limit = in_flight if network else None
        hub = Hub(os.path.join(folder, "bench.db"), in_flight=in_flight, network_in_flight=limit)
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


def plain_sqlite(total: int, *pragmas: str) -> float:
    """Rows per second of the usual way: one INSERT and commit each, with sqlite3's defaults but for `pragmas`."""
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(os.path.join(folder, "plain.db"))
        for pragma in pragmas:
            db.execute(f"PRAGMA {pragma}")
        db.execute("CREATE TABLE reading (ts, sensor, val)")
        began = time.perf_counter()
        for i in range(total):
            db.execute("INSERT INTO reading VALUES (?,?,?)", (i, "s", i))
            db.commit()
        return total / (time.perf_counter() - began)


def crowd(connections: int, seconds: float) -> dict[str, float]:
    """Connections that each send one reading a second: what was stored, how long acks took, memory of each."""
    script = Path(__file__).resolve().parent.parent / "tests" / "hub" / "crowd.py"
    with tempfile.TemporaryDirectory() as folder:
        journal = os.path.join(folder, "crowd.db")
        command = [sys.executable, "-m", "bourn.cli", "hub", "--listen", "tcp://127.0.0.1:0", "--journal", journal]
        with subprocess.Popen([*command, "--no-web"], stdout=subprocess.PIPE, text=True) as hub:
            assert hub.stdout
            port = next(re.findall(r"tcp://[\d.]+:(\d+)", line)[0] for line in hub.stdout if "tcp://" in line)
            process = psutil.Process(hub.pid)
            before = process.memory_info().rss
            asked = [sys.executable, str(script), port, str(connections), str(seconds)]
            with subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as senders:
                assert senders.stdin and senders.stdout
                assert senders.stdout.readline() == "ready\n"
                each = (process.memory_info().rss - before) / connections
                senders.stdin.write("go\n")
                senders.stdin.flush()
                result: dict[str, float] = json.loads(senders.stdout.readline())
                senders.kill()
            hub.terminate()
        db = sqlite3.connect(journal)
        stored = db.execute("SELECT count(*) FROM reading").fetchone()[0]
        db.close()
    assert stored == result["sent"] == result["acked"], (stored, result)
    return {**result, "bytes_each": each}


PROTOTYPE = {(5, 1): 3_900, (5, 5): 15_100, (5, 100): 111_000, (5, 1000): 178_000}  # readings/s, on such a machine


def rows() -> list[tuple[str, float, float | None, float | None, int | None]]:
    """(what, readings per second, median ms, p99 ms, the prototype's), the plain way first."""
    plain = plain_sqlite(2000)
    synced = plain_sqlite(2000, "journal_mode = wal", "synchronous = full")
    table: list[tuple[str, float, float | None, float | None, int | None]] = [
        ("sqlite3, one INSERT and commit each, in one process, no network", plain, None, None, None),
        ("the same with WAL and synchronous FULL, as the journal has it", synced, None, None, None),
    ]
    for sensors, in_flight, total, frame, network in (
        (1, 1, 4_000, 1, False),
        (5, 1, 10_000, 1, False),
        (1, 5, 10_000, 1, False),
        (5, 5, 30_000, 1, False),
        (1, 100, 200_000, 20, False),
        (5, 100, 300_000, 20, False),
        (1, 1000, 500_000, 250, False),
        (5, 1000, 1_000_000, 250, False),
        (5, 5, 20_000, 1, True),
    ):
        rate, median, p99 = asyncio.run(end_to_end(sensors, in_flight, total, frame, network))
        where = "over the whole network" if network else "per link"
        what = f"{sensors} sensor{'s' if sensors > 1 else ''}, {in_flight} in flight {where}, frames of {frame}"
        prototype = None if network else PROTOTYPE.get((sensors, in_flight))
        table.append((what, rate, median, p99, prototype))
    return table


def section() -> str:
    """The table for RESULTS.md."""
    table = rows()
    plain = table[0][1]
    lines = ["| what | readings/s | beside the plain way | prototype | ack median | p99 |", "|---|---|---|---|---|---|"]
    for what, rate, median, p99, prototype in table:
        latency = f"{median:.1f} ms | {p99:.1f} ms" if median is not None and p99 is not None else "- | -"
        before = f"{prototype:,}" if prototype else "-"
        lines.append(f"| {what} | {rate:,.0f} | {rate / plain:.1f}× | {before} | {latency} |")
    lines += [
        "",
        "From sensors' processes over TCP to a row in SQLite (WAL, synchronous FULL), each exactly once, and back as",
        "an ack after the commit. Sensors send frames encoded beforehand.",
        "",
        "| a crowd, one reading a second each | stored | ack median | p99 | longest | memory of a connection |",
        "|---|---|---|---|---|---|",
    ]
    for connections, seconds in ((1000, 10), (10_000, 20)):
        found = crowd(connections, seconds)
        times = f"{found['p50_ms']:.0f} ms | {found['p99_ms']:.0f} ms | {found['max_ms']:.0f} ms"
        stored = f"{found['sent']:,} of {connections * seconds:,}"
        lines.append(
            f"| {connections:,} connections for {seconds} s | {stored} | {times} | {found['bytes_each']:,.0f} B |"
        )
    return "\n".join(lines)
