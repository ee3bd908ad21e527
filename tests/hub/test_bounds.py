"""What a hub takes on is bounded, by name and with a counter: links, what waits, credit that nobody uses."""

import asyncio
import json
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from peer import Gate, Peer, data, data_text, readings, running
from processes import LIMIT_S, Program, count, hub, query, sensors, until, url_of
from servers import not_allowed
from test_connections import true

from bourn import wire
from bourn.hub import ingest as ingest_module
from bourn.hub import link as link_module
from bourn.hub.descriptors import room_for_links
from bourn.spool.sqlite import Limits

CROWD = Path(__file__).with_name("crowd.py")


class Time:
    """The module `time`, moved by hand."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("size", "reading"),
    [(32 << 20, '["a",0,[' + ",".join(["1.25"] * 2_000) + "]]"), (2 << 20, '["a",0,1e999]')],
    ids=["arrays", "poison"],
)
def test_what_is_looked_at_one_by_one_is_bounded_too(tmp_path: Path, size: int, reading: str) -> None:
    """Arrays take the careful way, and are the longest readings there are."""

    async def main() -> None:
        async with running(tmp_path, limits=Limits(bytes=size)) as hub, await Peer.greeted(hub.url, "s") as peer:
            gate = Gate(hub)
            gate.shut()
            await peer.send(data(1, 1))
            await gate.closed_on_someone()
            sending = asyncio.create_task(peer.send(*[data_text(n, reading) for n in range(2, 1000)]))
            await true(lambda: hub.ingest.held, "it takes all in")
            most = hub.journal.waiting_bytes()
            gate.open()
            await sending
            await peer.acked(999)
            assert most < 2 * hub.journal.limits.batch_bytes + 262_144, f"{most:,} bytes: held, but not in time"

    asyncio.run(main())


# -- links


def few_descriptors(n: int) -> Any:
    """For a process that may open only so many files, and cannot allow itself more."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


def answer(sock: socket.socket) -> list[Any]:
    """What the hub says until it closes or says nothing more for a moment; None for a connection that was reset."""
    decoder, frames = wire.Decoder(), []
    try:
        while got := sock.recv(65536):
            frames += [(kind, json.loads(body)) for kind, body in decoder.feed(got)]
            if frames[-1][0] == wire.WELCOME:
                break
    except ConnectionResetError:
        frames.append((0, None))
    return frames


def test_with_too_few_descriptors_new_links_are_turned_away_politely(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bourn.cli", "hub", "--listen", "tcp://127.0.0.1:0", "--journal", "j.db"]
    with Program(*command, "--for", "5m", cwd=tmp_path, preexec_fn=few_descriptors(96)) as program:
        url = url_of(program)
        host, port = url.removeprefix("tcp://").split(":")
        process = psutil.Process(program.process.pid)
        told: dict[str, list[socket.socket]] = {"in": [], "full": [], "reset": []}

        def dial() -> None:
            sock = socket.create_connection((host, int(port)), LIMIT_S)
            sock.sendall(wire.encode(wire.HELLO, f"s{len(told['in'])}-{len(told['full'])}", "0" * 16, 1, {}))
            kind, values = (answer(sock) or [(0, None)])[0]
            told["in" if kind == wire.WELCOME else "full" if kind == wire.REFUSE else "reset"].append(sock)
            assert kind != wire.REFUSE or values[0] == "full"

        for _ in range(200):
            dial()
        assert 32 <= len(told["in"]) <= 48, {k: len(v) for k, v in told.items()}
        assert len(told["full"]) == 200 - len(told["in"]), {k: len(v) for k, v in told.items()}  # each of them
        for sock in told["full"] + told["reset"]:
            sock.close()
        before = process.cpu_times()
        waiting = [socket.create_connection((host, int(port)), LIMIT_S) for _ in range(100)]
        first = told["in"][0]
        began = time.monotonic()
        for n in range(1, 20):  # who is in is served as ever
            first.sendall(data(n, n))
            assert answer_of(first) == n
        time.sleep(max(0.0, 2.0 - (time.monotonic() - began)))
        after = process.cpu_times()
        used = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
        print(f"{len(told['in'])} let in, {len(told['full'])} told, {len(told['reset'])} just closed, CPU {used:.0%}")
        assert used < 0.5, "it spins"
        for sock in waiting:
            sock.close()
        told["in"].pop().close()
        until(lambda: (dial(), len(told["in"]))[1] > 32 and told["full"], "there is room again")
        assert not [line for line in program.err if "Traceback" in line or "Too many open files" in line]
        program.interrupt()
        assert program.ended() == 0


@pytest.mark.parametrize("scheme", ["unix", "shm"])
def test_with_too_few_descriptors_local_sensors_are_sent_away_quietly(tmp_path: Path, scheme: str) -> None:
    """A link through shared memory takes two descriptors, so these run out before there are too many links."""
    url = f"{scheme}:{tmp_path}/s"
    command = [sys.executable, "-m", "bourn.cli", "hub", "--listen", url, "--listen", "tcp://127.0.0.1:0"]
    options = ("--journal", "j.db", "--for", "5m")
    with Program(*command, *options, cwd=tmp_path, preexec_fn=few_descriptors(96)) as program:
        process = psutil.Process(program.process.pid)
        program.said(r"^hub +tcp")
        socks = []
        before, began = process.cpu_times(), time.monotonic()
        for _ in range(200):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(LIMIT_S)
            sock.connect(f"{tmp_path}/s")
            socks.append(sock)
        time.sleep(2.0)
        after = process.cpu_times()
        used = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
        assert used < 0.6, "it spins"
        for sock in socks:
            sock.close()
        told = until(lambda: query(tmp_path, "PRAGMA user_version") == [(2,)], "it is there")
        assert told and program.process.poll() is None
        with sensors(tmp_path, url, "--num-sensors", "1", "--every", "0.05", "--micropython", "none") as one:
            until(lambda: count(tmp_path) > 5, "there is room again")
            one.interrupt()
            assert one.ended() == 0
        assert not [line for line in program.err if "Traceback" in line], program.err
        program.interrupt()
        assert program.ended() == 0


def answer_of(sock: socket.socket) -> int:
    """The number in the next ACK."""
    decoder = wire.Decoder()
    while not (frames := decoder.feed(sock.recv(65536))):
        pass
    assert frames[0][0] == wire.ACK
    return int(json.loads(frames[0][1])[1])


def test_the_room_for_links_leaves_some_for_the_rest() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert room_for_links(100) == 100 and resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256
        assert room_for_links(500) == 500 and resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 570
        assert room_for_links(1 << 30) == hard - hard // 8
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- what waits for a commit


def test_what_waits_for_a_commit_is_bounded_and_nothing_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, limits=Limits(bytes=16 << 20)) as hub, await Peer.greeted(hub.url, "s") as peer:
            bound = hub.journal.limits.batch_bytes
            gate = Gate(hub)
            gate.shut()
            frames = [data(first, *["x" * 5000] * 10) for first in range(1, 1000, 10)]
            sending = asyncio.create_task(peer.send(*frames))  # 5 MB: more than sockets hold
            while not hub.ingest.held:
                await asyncio.sleep(0.01)
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert hub.journal.waiting_bytes() < 2 * bound + (1 << 20)
            async with await Peer.connect(hub.url) as late:  # let in, and heard when there is room
                await late.send(wire.encode(wire.HELLO, "late", "0" * 16, 1, {}))
                gate.open()
                await sending
                await late.expect(wire.WELCOME)
            await peer.acked(1000)
            assert hub.status()["counters"]["held"] >= 1 and not hub.ingest.held

    asyncio.run(main())
    assert len(readings(tmp_path)) == 1000


def test_who_waits_in_vain_for_being_read_does_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing is read nobody is heard to go: senders that give up and come again would fill all places."""
    monkeypatch.setattr(ingest_module, "TICK_S", 0.02)

    async def main() -> None:
        async with running(tmp_path, limits=Limits(bytes=8 << 20)) as hub, await Peer.greeted(hub.url, "s") as peer:
            gate = Gate(hub)
            gate.shut()
            await peer.send(data(1, 1))
            await gate.closed_on_someone()
            await peer.send(*[data(n, "x" * 60_000) for n in range(2, 8)])
            await true(lambda: hub.ingest.held, "nothing more is read")
            for _ in range(10):
                late = await Peer.connect(hub.url)
                await late.send(wire.encode(wire.HELLO, "late", "0" * 16, 1, {}))
                late.close()
            await true(lambda: len(hub.ingest.links) == 11, "all are let in, and not heard to go")
            monkeypatch.setattr(ingest_module, "UNHEARD_S", 0.1)
            await true(lambda: len(hub.ingest.links) == 1, "they are still there")
            gate.open()
            await peer.acked(7)  # who was up is up, however long it took

    asyncio.run(main())


# -- credit


def test_credit_grows_old_although_some_of_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time()
    monkeypatch.setattr(link_module, "time", clock)

    async def main() -> None:
        async with running(tmp_path, network_in_flight=5) as hub, await Peer.greeted(hub.url, "miser") as miser:
            await miser.borrow(5)
            async with await Peer.greeted(hub.url, "poor") as poor:
                await poor.send(wire.encode(wire.WANT, 1))
                for n in range(1, 5):  # one of five, every two seconds, and always asking for the next
                    clock.now += 2
                    await miser.send(data(n, n), wire.encode(wire.WANT, 1))
                    for link in list(hub.ingest.links):
                        link.check(clock.now)
                    if n == 1:
                        assert await miser.expect(wire.ACK)
                        assert await poor.expect(wire.CREDIT) == [1]
                        await poor.send(data(1, 1))
                        assert await poor.expect(wire.ACK)
                    if n == 2:
                        break
                clock.now += 2
                for link in list(hub.ingest.links):
                    link.check(clock.now)
                assert await miser.refused() == "credit"

    asyncio.run(main())


@pytest.mark.parametrize("how", ["reset", "another epoch", "refused", "replaced", "with readings under way"])
def test_credit_of_a_link_that_has_ended_is_the_networks_again(tmp_path: Path, how: str) -> None:
    async def main() -> None:
        async with (
            running(tmp_path, network_in_flight=5) as hub,
            await Peer.greeted(hub.url, "b") as other,
            await Peer.greeted(hub.url, "a") as peer,
        ):
            await peer.borrow(5)
            gate = Gate(hub)
            if how == "another epoch":
                await peer.hello("a", "f" * 16)
            elif how == "refused":
                await peer.send(data(0, 1))
                assert await peer.refused() == "shape"
            elif how == "replaced":
                async with await Peer.greeted(hub.url, "a"):
                    assert await peer.refused() == "replaced"
            elif how == "with readings under way":
                gate.shut()
                await peer.send(data(1, 1, 2))
                await gate.closed_on_someone()
                peer.reset()
            else:
                peer.reset()
            gate.open()
            await other.deliver(1, 2, 3, 4, 5)
            assert hub.ingest.pool is not None
            await true(lambda: hub.ingest.pool.lent == 0, "some of it is lost")  # type: ignore[union-attr]  # above

    asyncio.run(main())


def test_credit_that_is_used_in_time_may_be_held_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time()
    monkeypatch.setattr(link_module, "time", clock)

    async def main() -> None:
        async with running(tmp_path, network_in_flight=5) as hub, await Peer.greeted(hub.url, "s") as peer:
            for n in range(1, 20):
                clock.now += 4
                for link in list(hub.ingest.links):
                    link.check(clock.now)
                await peer.deliver(n, n, n)
                await peer.borrow(2)

    asyncio.run(main())


def test_who_gives_credit_back_is_not_lent_it_again_unasked(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, network_in_flight=5) as hub, await Peer.greeted(hub.url, "s") as peer:
            await peer.send(wire.encode(wire.WANT, 1_000_000))
            assert await peer.expect(wire.CREDIT) == [5]
            await peer.send(wire.encode(wire.CREDIT, 5))
            await peer.quiet()
            assert hub.ingest.pool is not None and hub.ingest.pool.lent == 0
            await peer.borrow(2)

    asyncio.run(main())


# -- a crowd


def crowd(folder: Path, connections: int, seconds: float) -> dict[str, Any]:
    """A hub in a process of its own and that many senders in another; what came of it."""
    with hub(folder, "--no-web") as program:
        process = psutil.Process(program.process.pid)
        port = url_of(program).rpartition(":")[2]
        before = process.memory_info().rss
        command = [sys.executable, str(CROWD), port, str(connections), str(seconds)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as senders:
            assert senders.stdin and senders.stdout
            try:
                assert senders.stdout.readline() == "ready\n"
                after = process.memory_info().rss
                senders.stdin.write("go\n")
                senders.stdin.flush()
                result: dict[str, Any] = json.loads(senders.stdout.readline())
            finally:
                senders.kill()
        result["bytes_per_connection"] = (after - before) // connections
        result["rss_mb"] = round(process.memory_info().rss / 1e6, 1)
        result["cpu_s"] = round(sum(process.cpu_times()[:2]), 1)
        program.interrupt()
        assert program.ended() == 0
    result["stored"] = count(folder)
    twice = "SELECT count(*) FROM (SELECT 1 FROM reading GROUP BY stream, seq HAVING count(*) > 1)"
    assert query(folder, twice) == [(0,)]
    print(result)
    return result


@pytest.mark.parametrize("connections, seconds", [(1000, 3), pytest.param(10_000, 20, marks=pytest.mark.soak)])
def test_a_crowd_is_served(tmp_path: Path, connections: int, seconds: float) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < connections * 1.15 + 100:
        not_allowed(f"room for {connections} connections in a process")
    result = crowd(tmp_path, connections, seconds)
    assert result["stored"] == result["acked"] == result["sent"] == connections * seconds
    assert result["p99_ms"] < 2000
    assert result["bytes_per_connection"] <= 4096
