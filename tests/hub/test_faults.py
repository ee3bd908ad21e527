"""Power loss, stop points, a full disk, SIGTERM at any moment: after each, the invariant (see invariant.py)."""

import contextlib
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from invariant import check_journal
from processes import BOURN, LIMIT_S, Program, count, csv_ids, hub, journal_ids, query, sensors, until, url_of
from servers import small_disk
from test_ack_after_commit import file_of, frames_in, plain, strace

from bourn import wire
from bourn.spool.sqlite import JournalError, SqliteSpool, read_journal

EPOCH = "0123456789abcdef"


# -- the power goes: what was not synced may be lost, all of it or any part


class Disk:
    """What a trace of system calls says about files: what is on the medium, and what is only on its way there."""

    def __init__(self) -> None:
        self.durable: dict[str, bytearray] = {}
        self.pending: dict[str, list[tuple[int, bytes]]] = {}  # (offset, data); offset -1 - n: cut to n bytes

    def write(self, name: str, offset: int, data: bytes) -> None:
        self.durable.setdefault(name, bytearray())
        self.pending.setdefault(name, []).append((offset, data))

    def truncate(self, name: str, size: int) -> None:
        self.pending.setdefault(name, []).append((-1 - size, b""))

    def remove(self, name: str) -> None:
        self.durable.pop(name, None)
        self.pending.pop(name, None)

    def sync(self, name: str) -> None:
        image = self.durable.setdefault(name, bytearray())
        for write in self.pending.pop(name, []):
            apply(image, *write)

    def after_power_loss(self, chance: random.Random) -> dict[str, bytes]:
        """The files as the next start finds them: of what was not synced some writes, whole or torn, in any order."""
        found = {}
        for name in {*self.durable, *self.pending}:
            image = bytearray(self.durable.get(name, b""))
            how = chance.choice(("nothing", "all", "some"))
            for offset, data in self.pending.get(name, []):
                if how == "all" or (how == "some" and chance.random() < 0.5):
                    torn = chance.randrange(0, len(data) + 1, 512) if data and chance.random() < 0.3 else len(data)
                    apply(image, offset, data[:torn])
            found[name] = bytes(image)
        return found


def apply(image: bytearray, offset: int, data: bytes) -> None:
    if offset < 0:
        del image[-1 - offset :]
        return
    if len(image) < offset:
        image += bytes(offset - len(image))
    image[offset : offset + len(data)] = data


def calls_of(lines: list[str]) -> Iterator[tuple[str, str]]:
    """(name, whole call) of each that returned, in the order of their returns."""
    unfinished: dict[str, str] = {}
    for line in lines:
        thread, call = line.split(None, 1)
        if call.endswith("<unfinished ...>"):
            unfinished[thread] = call.removesuffix("<unfinished ...>")
            continue
        if call.startswith("<..."):
            call = unfinished.pop(thread) + call.split("resumed>", 1)[1]
        if not re.search(r"= -1 E\w+", call):
            yield call.partition("(")[0], call


@pytest.mark.parametrize("cuts", [60, pytest.param(1500, marks=pytest.mark.soak)])
def test_the_power_may_go_at_any_moment(tmp_path: Path, seed: int, cuts: int) -> None:
    """A hub's system calls are recorded; then the power goes many times, in between and while it writes."""
    chance = random.Random(seed)
    trace, folder = tmp_path / "trace", tmp_path / "hub"
    folder.mkdir()
    calls = "trace=sendto,pwrite64,fdatasync,fsync,ftruncate,unlink"
    tracer = [strace(), "-f", "-y", "-xx", "-s", "300000", "-e", calls, "-e", "signal=none", "-o", str(trace)]
    options = ["--journal", "j.db", "--no-web", "--journal-bytes", "2100kB", "--when-full", "drop_oldest"]
    with Program(*tracer, *BOURN, "hub", "--listen", "tcp://127.0.0.1:0", *options, cwd=folder) as program:
        host, port = url_of(program).removeprefix("tcp://").split(":")
        with socket.create_connection((host, int(port)), LIMIT_S) as sock:
            deliver(sock, [chance.randint(1, 40) for _ in range(200)], size=600)
        program.interrupt()
        assert program.ended() == 0
    assert count(folder) < 3000, "some were dropped: the file did what it does when it is full"
    lines = trace.read_text(errors="replace").splitlines()
    checked, lost = replay(lines, chance, cuts)
    print(f"{checked} power cuts, {lost} writes that were not synced")
    assert checked > cuts // 2 and lost
    with pytest.raises((AssertionError, JournalError, sqlite3.DatabaseError)):  # and it can fail: without the syncs
        replay([line for line in lines if "sync(" not in line and "sync resumed" not in line], chance, cuts)


def replay(lines: list[str], chance: random.Random, times: int) -> tuple[int, int]:
    """Let the power go so often at moments of this trace; how often a hub started after it, and what was not synced."""
    cuts = sorted(chance.sample(range(len(lines)), min(times, len(lines))))
    checked = lost = 0
    disk, acked, at = Disk(), 0, 0
    for number, (name, call) in enumerate(calls_of(lines)):
        while at < len(cuts) and cuts[at] <= number:
            at += 1
            found = disk.after_power_loss(chance)
            if "j.db" in found and acked:
                lost += sum(map(len, disk.pending.values()))
                survives(found, acked)
                checked += 1
        acked = follow(disk, name, call, acked)
    return checked, lost


def deliver(sock: socket.socket, sizes: list[int], size: int) -> None:
    """Frames of so many readings each, five at a time under way, until all are acknowledged."""
    decoder, seq, last = wire.Decoder(), 0, 0
    sock.sendall(wire.encode(wire.HELLO, "s", EPOCH, 1, {}))
    ends: list[int] = []
    while sizes or last < seq:
        while sizes and len(ends) < 5:
            n = sizes.pop()
            readings = [["x", 0, f"{seq + 1 + i:0{size}}"] for i in range(n)]
            sock.sendall(wire.encode(wire.DATA, seq + 1, 1000, readings))
            seq += n
            ends.append(seq)
        for kind, body in decoder.feed(sock.recv(65536)):
            if kind == wire.ACK:
                last = wire.decode(kind, body)[1]
                ends = [end for end in ends if end > last]


def follow(disk: Disk, name: str, call: str, acked: int) -> int:
    """What one call did to the disk; the last number acknowledged by now."""
    if name == "sendto":
        for kind, body in frames_in(call):
            if kind == wire.ACK:
                acked = max(acked, wire.decode(kind, body)[1])
        return acked
    path = file_of(call) if name != "unlink" else plain(re.findall(r'"((?:\\x[0-9a-f]{2})*)"', call)[0]).decode()
    file = os.path.basename(path)
    if not file.startswith("j.db") or file.endswith(("-shm", ".lock", ".api")):
        return acked
    if name == "pwrite64":
        found = re.search(r'"((?:\\x[0-9a-f]{2})*)", \d+, (\d+) *\)', call)  # a space where it was resumed
        assert found, call[:200]
        disk.write(file, int(found[2]), plain(found[1]))
    elif name == "ftruncate":
        disk.truncate(file, int(re.findall(r", (\d+) *\)", call)[-1]))
    elif name in ("fdatasync", "fsync"):
        disk.sync(file)
    elif name == "unlink":  # SQLite syncs the folder at once
        disk.remove(file)
    return acked


def survives(found: dict[str, bytes], acked: int) -> None:
    """A hub starts with these files, and has everything that was acknowledged."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        for name, data in found.items():
            (Path(folder) / name).write_bytes(data)
        spool = SqliteSpool(folder + "/j.db")
        assert spool.stream("s", EPOCH).committed >= acked, f"{acked} was acknowledged"
        spool.close()
        stored = check_journal(folder + "/j.db", {("s", EPOCH): acked})
        assert all(int(val.strip('"')) == seq for (_, _, seq), val in stored.items())


# -- the process ends between any two steps

STOP_POINTS = (
    "insert", "inserted", "commit", "committed", "acknowledge", "acknowledged", "take",
    "write", "written", "cursor", "moved",
)  # fmt: skip  # the last four: a repository's write, and its cursor
HUB = """
import os, signal, sys
from bourn.hub import ingest, link
from bourn.hub.repositories import csv_file
from bourn.spool import sqlite
where, after = sys.argv[1], int(sys.argv[2])
def stop_at(owner, name, before, behind):
    whole = getattr(owner, name)
    def stopping(*args, **kwargs):
        count(before)
        result = whole(*args, **kwargs)
        count(behind)
        return result
    setattr(owner, name, stopping)
def count(point):
    global after
    if point == where:
        after -= 1
        if after < 0:
            os.kill(os.getpid(), signal.SIGKILL)
stop_at(sqlite.SqliteSpool, "insert", "insert", "inserted")
stop_at(sqlite.SqliteSpool, "commit", "commit", "committed")
stop_at(ingest.Ingest, "_acknowledge", "acknowledge", "acknowledged")
stop_at(sqlite.SqliteSpool, "take", "take", "")
stop_at(csv_file.CsvFile, "write", "write", "written")
stop_at(sqlite.SqliteSpool, "ack", "cursor", "moved")
from bourn.cli import main
main(sys.argv[3:])
"""


@pytest.mark.parametrize("stops", [4, pytest.param(50, marks=pytest.mark.soak)])
def test_the_hub_may_stop_between_any_two_steps(tmp_path: Path, seed: int, stops: int) -> None:
    chance = random.Random(seed)
    options = ("--journal", "j.db", "--no-web", "--network-in-flight", "20", "--csv-file", "all.csv", "--for", "5m")
    url = "tcp://127.0.0.1:0"
    points = (STOP_POINTS * stops)[:stops] if stops > 10 else chance.sample(STOP_POINTS, stops)
    with contextlib.ExitStack() as stack:
        four: Program | None = None
        for point in points:
            command = [sys.executable, "-c", HUB, point, str(chance.randint(5, 60)), "hub", "--listen", url, *options]
            with Program(*command, cwd=tmp_path) as running:
                url = url_of(running)
                if four is None:
                    four = stack.enter_context(
                        sensors(tmp_path, url, "--num-sensors", "4", "--every", "0.01", "--micropython", "none")
                    )
                assert running.ended() == -signal.SIGKILL, (point, running.err)
            check_journal(tmp_path / "j.db")
        assert four is not None
        with Program(*BOURN, "hub", "--listen", url, *options, cwd=tmp_path) as running:
            assert url_of(running) == url
            before = count(tmp_path)
            until(lambda: count(tmp_path) > before + 100, "it goes on")
            four.interrupt()
            assert four.ended() == 0
            running.interrupt()
            assert running.ended() == 0
    stored = check_journal(tmp_path / "j.db")
    assert query(tmp_path, "SELECT count(*) FROM gap") == [(0,)]
    lines = (tmp_path / "all.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == [":".join(map(str, identity)) for identity in stored]


# -- SIGTERM at any moment, of both


@pytest.mark.parametrize("times", [3, pytest.param(40, marks=pytest.mark.soak)])
def test_sigterm_at_any_moment_loses_nothing(tmp_path: Path, seed: int, times: int) -> None:
    chance = random.Random(seed)
    url = "tcp://127.0.0.1:0"
    for _ in range(times):
        with hub(tmp_path, "--no-web", "--csv-file", "all.csv", listen=url) as running:
            pause = chance.uniform(0, 0.8)
            if chance.random() < 0.3:  # before it has begun
                time.sleep(pause)
            else:
                url = url_of(running)
                with sensors(tmp_path, url, "--num-sensors", "2", "--every", "0.002", "--micropython", "none") as two:
                    time.sleep(pause)
                    first, second = chance.sample([two, running], 2)
                    first.process.send_signal(signal.SIGTERM)
                    time.sleep(chance.uniform(0, 0.2))
                    second.process.send_signal(signal.SIGTERM)
                    assert two.ended() in (0, -signal.SIGTERM)
            running.process.send_signal(signal.SIGTERM)
            assert running.ended() in (0, -signal.SIGTERM)
            assert not [line for line in running.err if "Traceback" in line]
        if (tmp_path / "j.db").exists() and query(tmp_path, "PRAGMA user_version") != [(0,)]:
            check_journal(tmp_path / "j.db")


# -- the disk is full


def test_a_full_disk_stops_the_acks_and_not_the_hub_and_it_heals(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        ballast = disk / "ballast"
        journal = ("--network-in-flight", "50", "--journal", str(disk / "j.db"))
        with Program(*BOURN, "hub", "--listen", "tcp://127.0.0.1:0", *journal, "--for", "5m", cwd=tmp_path) as running:
            url = url_of(running)
            with sensors(tmp_path, url, "--num-sensors", "3", "--every", "0.003", "--micropython", "none") as three:
                until(lambda: stored(disk) > 50, "it stores")
                fill_up(disk)
                status = until(lambda: told(disk, tmp_path), "it says that the disk is full")
                assert "full" in status and "nothing is acknowledged" in status
                before = stored(disk)
                time.sleep(0.5)
                assert stored(disk) <= before + 50 and running.process.poll() is None
                check_journal(disk / "j.db")
                ballast.unlink()
                until(lambda: stored(disk) > before + 100, "it stores again, by itself")
                until(lambda: not told(disk, tmp_path), "and says so")
                three.interrupt()
                assert three.ended() == 0
            running.interrupt()
            assert running.ended() == 0
        found = check_journal(disk / "j.db")
        numbers = re.search(r"acknowledged (\d+)", "\n".join(three.out))
        assert numbers and len(found) >= int(numbers[1]) > 150
        with contextlib.closing(SqliteSpool(str(disk / "j.db"))) as spool:
            assert spool.counters["dropped"] == 0


def fill_up(disk: Path) -> Path:
    """Leave no room; the file that takes it."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


@pytest.mark.parametrize("ended", ["killed", "in order"])
def test_a_hub_that_starts_on_a_full_disk_says_so_and_heals(tmp_path: Path, ended: str) -> None:
    """After a kill the files of its WAL are there, and the journal opens; after an orderly end there is no room even
    for these, and it waits. Either way nothing is acknowledged, and the first room there is lets it go on."""
    with small_disk(tmp_path / "disk", "8m") as disk:
        options = ("--network-in-flight", "50", "--journal", str(disk / "j.db"), "--csv-file", str(disk / "all.csv"))
        url = "tcp://127.0.0.1:0"
        with contextlib.ExitStack() as stack:
            with Program(*BOURN, "hub", "--listen", url, *options, "--for", "5m", cwd=tmp_path) as running:
                url = url_of(running)
                three = stack.enter_context(
                    sensors(tmp_path, url, "--num-sensors", "3", "--every", "0.01", "--micropython", "none")
                )
                until(lambda: stored(disk) > 50, "it stores")
                if ended == "killed":
                    running.kill()
                else:
                    running.process.send_signal(signal.SIGTERM)
                    assert running.ended() == 0
            # The first leaves the files of the WAL behind, and the second none.
            before = stored(disk) if ended == "killed" else len(list(read_journal(str(disk / "j.db"))))
            ballast = fill_up(disk)
            with Program(*BOURN, "hub", "--listen", url, *options, "--for", "5m", cwd=tmp_path) as running:
                until(lambda: any("journal_failed" in line for line in running.err), "it says so")
                (line,) = [line for line in running.err if "journal_failed" in line]
                assert ("cannot store" if ended == "killed" else "no room on its disk") in line
                assert stored(disk) in (before, 0) and running.process.poll() is None  # 0: there is no room to read it
                ballast.unlink()
                until(lambda: any("journal_recovered" in line for line in running.err), "it goes on by itself")
                until(lambda: stored(disk) > before + 100, "and stores again")
                until((disk / "j.db.api").exists, "and commands find it")
                assert not told(disk, tmp_path)
                three.interrupt()
                assert three.ended() == 0
                running.interrupt()
                assert running.ended() == 0
                assert not [line for line in running.err if "Traceback" in line]
        check_journal(disk / "j.db")
        assert query(disk, "SELECT count(*) FROM gap") == [(0,)]
        numbers = re.search(r"acknowledged (\d+)", "\n".join(three.out))
        assert numbers and stored(disk) >= int(numbers[1])
        assert csv_ids(disk / "all.csv") == journal_ids(disk)


def test_a_hub_that_waits_for_room_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        fill_up(disk)
        with Program(
            *BOURN, "hub", "--listen", "tcp://127.0.0.1:0", "--journal", str(disk / "j.db"), cwd=tmp_path
        ) as one:
            until(lambda: any("no room on its disk" in line for line in one.err), "it says so")
            one.process.send_signal(signal.SIGTERM)
            assert one.ended() == 0 and len(one.err) == 1


def stored(disk: Path) -> int:
    return count(disk)


def told(disk: Path, folder: Path) -> str:
    """What `bourn status` says is wrong with the journal."""
    command = [*BOURN, "status", "--json", "--journal", str(disk / "j.db")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    found: Any = re.search(r'"last_error": "([^"]*nothing is acknowledged[^"]*)"', done.stdout)
    return str(found[1]) if found else ""


# -- half-open links


def test_half_open_links_are_reaped_and_hold_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers that vanish without a word, through a proxy that goes silent: their credit comes back, their memory too."""
    import asyncio

    from peer import Peer, data, running

    from bourn.hub import link as link_module

    monkeypatch.setattr(link_module, "SILENCE_S", 0.5)

    async def main() -> None:
        async with running(tmp_path, network_in_flight=5) as hub:
            peers = [await Peer.greeted(hub.url, f"s{i}") for i in range(50)]
            await peers[0].borrow(3)
            await peers[1].send(data(1, 1)[:-4])  # half a frame
            async with asyncio.timeout(LIMIT_S):
                while hub.ingest.links:
                    await asyncio.sleep(0.05)
            assert hub.ingest.pool is not None and hub.ingest.pool.lent == 0
            assert hub.ingest.refusals["silent"] == 50 - hub.ingest.refusals["credit"]
            async with await Peer.greeted(hub.url, "well") as well:
                await well.deliver(*range(5))
            for peer in peers:
                peer.close()

    before = threading.active_count()
    asyncio.run(main())
    assert threading.active_count() <= before
    assert len(check_journal(tmp_path / "j.db")) == 5
