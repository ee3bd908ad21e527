"""An ack means it is on disk: none leaves the hub before the commit of what it names has reached the medium."""

import asyncio
import os
import re
import shutil
import socket
import sqlite3
import sys
from pathlib import Path

import pytest
from peer import EPOCH, Gate, Peer, data, readings, running
from processes import LIMIT_S, Program, url_of

from bourn import wire
from bourn.hub import ingest


def test_no_ack_before_the_commit_has_returned(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            gate = Gate(hub)
            for round in range(3):
                first = 3 * round + 1
                gate.shut()
                await peer.send(data(first, 1))
                await gate.closed_on_someone()
                await peer.send(data(first + 1, 2), data(first + 2, 3))  # decoded while the first is being committed
                await peer.quiet()
                assert hub.journal.pending() == 2
                gate.open()
                await peer.acked(first + 2)

    asyncio.run(main())
    assert len(readings(tmp_path)) == 9


def test_each_batch_is_acknowledged_by_its_own_commit(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            gate = Gate(hub)
            gate.shut()
            await peer.send(data(1, 1))
            await gate.closed_on_someone()
            await peer.send(data(2, 2))
            await peer.quiet()
            gate.pass_one()
            assert await peer.expect(wire.ACK) == [EPOCH, 1]
            await gate.closed_on_someone()
            await peer.quiet()
            gate.open()
            assert await peer.expect(wire.ACK) == [EPOCH, 2]

    asyncio.run(main())


@pytest.mark.parametrize("where", ["insert", "commit"])
def test_a_commit_that_fails_acknowledges_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(ingest, "RETRY_S", (0.01,))
    failures = 0

    async def main() -> None:
        nonlocal failures
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            await peer.deliver(1)
            whole = getattr(hub.journal, where)

            def fails(*args: bool) -> bool | None:
                nonlocal failures
                failures += 1
                if failures <= 5:
                    if where == "insert":
                        whole(*args)
                    raise sqlite3.OperationalError("the disk is full (by the test)")
                return whole(*args)

            setattr(hub.journal, where, fails)
            await peer.send(data(2, 2, 3))
            async with asyncio.timeout(LIMIT_S):
                while failures < 3:
                    await asyncio.sleep(0)
            assert "full" in (hub.status()["journal"]["last_error"] or "")
            await peer.send(data(4, 4))
            await peer.acked(4)
            assert hub.status()["journal"]["last_error"] is None

    asyncio.run(main())
    assert failures >= 6
    assert [row[2:] for row in readings(tmp_path)] == [(i, i) for i in range(1, 5)]


def test_what_was_taken_is_committed_and_acknowledged_when_the_hub_stops(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            gate = Gate(hub)
            gate.shut()
            await peer.send(data(1, 1))
            await gate.closed_on_someone()
            await peer.send(data(2, 2, 3))
            await peer.quiet()
            stopping = asyncio.create_task(hub.stop())
            await asyncio.sleep(0)
            gate.open()
            await peer.acked(3)
            await stopping
            with pytest.raises((EOFError, ConnectionResetError)):
                await peer.receive()

    asyncio.run(main())
    assert len(readings(tmp_path)) == 3


# -- what the kernel saw


def strace() -> str:
    """The tracer; where it is missing or not allowed the test is left out, in CI it fails."""
    path = shutil.which("strace")
    allowed = path and os.spawnv(os.P_WAIT, path, [path, "-o", os.devnull, "-f", "true"]) == 0
    if not allowed and os.environ.get("CI") == "true":
        pytest.fail("CI needs strace, and the right to use it")
    return path if path and allowed else pytest.skip("no strace, or not allowed to trace")


def test_the_kernel_sees_the_sync_before_each_ack(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "trace=recvfrom,sendto,pwrite64,fdatasync,fsync"
    tracer = [strace(), "-f", "-y", "-xx", "-s", "70000", "-e", calls, "-e", "signal=none", "-o", str(trace)]
    hub = [sys.executable, "-m", "bourn.cli", "hub", "--listen", "tcp://127.0.0.1:0", "--journal", "j.db"]
    acks = 0
    with Program(*tracer, *hub, cwd=tmp_path) as program:
        host, port = url_of(program).removeprefix("tcp://").split(":")
        with socket.create_connection((host, int(port)), LIMIT_S) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            decoder = wire.Decoder()
            frames: list[tuple[int, bytes]] = []

            def expect(kind: int) -> None:
                while not frames:
                    frames.extend(decoder.feed(sock.recv(65536)))
                assert frames.pop(0)[0] == kind

            sock.sendall(wire.encode(wire.HELLO, "s", EPOCH, 1, {}))
            expect(wire.WELCOME)
            for n in range(1, 41):
                sock.sendall(data(n, f"value {n}"))
                expect(wire.ACK)
                acks += 1
        program.interrupt()
        assert program.ended() == 0
    lines = trace.read_text().splitlines()
    assert acks_after_sync(lines) == acks
    # and it can fail: with the syncs out of sight, or an ack that comes earlier
    with pytest.raises(AssertionError):
        acks_after_sync([line for line in lines if "sync" not in line])
    with pytest.raises(AssertionError):
        acks_after_sync([line for line in lines if "pwrite64" not in line])


def acks_after_sync(lines: list[str]) -> int:
    """Number of ACK frames in the trace; AssertionError where one was sent before its readings were written and synced.

    Everything is judged by when a call returned, but an ack and a sync by when they were begun.
    """
    received = synced = acks = 0  # the last numbers: come in, on the medium
    written = 0  # the last number that had come in before the last write into the journal's WAL
    begun: dict[str, int] = {}  # thread: what was written when its sync began
    unfinished: dict[str, str] = {}
    for line in lines:
        thread, call = line.split(None, 1)
        name, of_wal = call.partition("(")[0], "-wal" in file_of(call)
        if name in {"fdatasync", "fsync"} and of_wal:
            begun[thread] = written
        if name == "sendto":
            for kind, body in frames_in(call):
                if kind == wire.ACK:
                    acks += 1
                    number = int(body.rstrip(b"]").split(b",")[1])
                    assert number <= synced, f"{number} is acknowledged, {synced} is on the medium"
        if call.endswith("<unfinished ...>"):
            unfinished[thread] = call.removesuffix("<unfinished ...>")
            continue
        if call.startswith("<..."):
            call = unfinished.pop(thread) + call.split("resumed>", 1)[1]
            name, of_wal = call.partition("(")[0], "-wal" in file_of(call)
        if name == "recvfrom":
            for kind, body in frames_in(call):
                if kind == wire.DATA:
                    received = int(body[1:].split(b",")[0])
        elif name == "pwrite64" and of_wal:
            written = received
        elif name in {"fdatasync", "fsync"} and of_wal and call.rstrip().endswith("= 0"):
            synced = begun[thread]
    return acks


def plain(text: str) -> bytes:
    """What a text in the tracer's notation stands for, if all of it is in hexadecimal."""
    return bytes.fromhex(text.replace("\\x", ""))


def file_of(call: str) -> str:
    """The path of the file that a call is about."""
    found = re.match(r"\w+\(\d+<((?:\\x[0-9a-f]{2})+)>", call)
    return plain(found[1]).decode() if found else ""


def frames_in(call: str) -> list[tuple[int, bytes]]:
    """The frames in the first string of a call that carried whole ones."""
    found = re.search(r'"((?:\\x[0-9a-f]{2})*)"', call)
    try:
        return wire.Decoder().feed(plain(found[1])) if found else []
    except wire.FrameError:
        return []  # no socket of ours
