"""`bourn run` over each connection, end to end; and kill -9 of a sensor and of the hub where both are processes."""

import contextlib
from pathlib import Path

import pytest
from processes import (
    BOURN,
    LONGEST,
    Program,
    alive,
    check_complete,
    count,
    hub,
    micropython,
    query,
    sensors,
    stored_of,
    totals,
    until,
)

from bourn.spool.segments import SegmentSpool

# (connection, sensors as, whether the last one can run on MicroPython)
WAYS = [
    ("socket", "threads", False),
    ("unix", "processes", True),
    ("unix", "threads", False),
    ("pipe", "processes", True),
    ("pipe", "threads", False),
    ("queue", "processes", False),
    ("queue", "threads", False),
    ("shared_memory", "processes", False),
    ("shared_memory", "threads", False),
    ("mqtt", "processes", True),
    ("mqtt", "threads", False),
]


def command(connection: str, kind: str, *options: str) -> list[str]:
    """`bourn run` with two sensors that are quick."""
    settings = ["--sensors-as", kind, "--num-sensors", "2", "--every", "0.02", "--journal", "j.db", "--no-web"]
    return [*BOURN, "run", "--connection", connection, *settings, *options]


def test_each_connection_carries_every_reading(tmp_path: Path) -> None:
    """All of them at once, each in a folder of its own: sent = acknowledged = stored."""
    micropython()
    with contextlib.ExitStack() as stack:
        running = {}
        for connection, kind, _ in WAYS:
            folder = tmp_path / f"{connection}-{kind}"
            folder.mkdir()
            program = Program(*command(connection, kind, *LONGEST), cwd=folder)
            running[connection, kind] = (stack.enter_context(program), folder)
        for program, folder in running.values():
            until(lambda folder=folder: len(stored_of(folder)) == 2 and count(folder) > 50, f"readings in {folder}")
            program.interrupt()
        for (connection, kind), (program, folder) in running.items():
            assert program.ended() == 0, program.err
            numbers = totals(program)
            assert numbers["sent"] == numbers["acknowledged"] == numbers["stored"] == count(folder) > 50, numbers
            check_complete(folder)
            assert not list(folder.glob("*.sock")), "a socket was left behind"
            on_micropython = (connection, kind, True) in WAYS
            assert ("MicroPython" in "".join(program.out)) == on_micropython


@pytest.mark.parametrize("connection", ["unix", "pipe", "queue", "shared_memory"])
def test_kills_lose_nothing_and_store_nothing_twice(tmp_path: Path, connection: str) -> None:
    """A sensor's process, then the hub: its sensors end by themselves, and the next run has what they accepted."""
    with Program(*command(connection, "processes", *LONGEST), cwd=tmp_path) as first:
        until(lambda: len(stored_of(tmp_path)) == 2 and count(tmp_path) > 20, "readings come")
        names = ("bourn.device.node", "spawn_main")
        nodes = [one for one in first.remember() if any(name in word for word in one.cmdline() for name in names)]
        assert len(nodes) == 2
        nodes[0].kill()
        epochs = "SELECT count(DISTINCT epoch) FROM stream WHERE last > 0"
        until(lambda: query(tmp_path, epochs) == [(3,)], "it is started again, and heard")
        nodes = first.remember()
        first.kill()
        until(lambda: not any(alive(one) for one in nodes), "no sensor outlives the hub that started it")
        before = count(tmp_path)
    with Program(*command(connection, "processes", *LONGEST), cwd=tmp_path) as second:
        until(lambda: count(tmp_path) > before + 20 and query(tmp_path, epochs)[0][0] >= 5, "it goes on")
        second.interrupt()
        assert second.ended() == 0, second.err
    assert "wait" not in "".join(second.out), second.out
    check_complete(tmp_path)
    for name in ("s1", "s2"):
        spool = SegmentSpool(str(tmp_path / "bourn.outbox" / name))
        assert spool.waiting() == 0
        spool.close()


def test_one_hub_several_connections_and_it_may_be_killed(tmp_path: Path) -> None:
    """`bourn sensors` over unix and over shared memory, to one hub that dies and comes back."""
    listening = ("--listen", "unix:u.sock", "--listen", "shm:m.sock")
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(hub(tmp_path, *listening))
        running.said(r"hub +shm:m.sock")
        groups = []
        for scheme, path in (("unix", "u.sock"), ("shm", "m.sock")):
            config = tmp_path / f"{scheme}.toml"
            config.write_text(f'[[sensor]]\nname = "{scheme}"\nkind = "counter"\nevery = "0.02"\n')
            one = sensors(tmp_path, f"{scheme}:{path}", "--config", config.name, "--outbox", scheme)
            groups.append(stack.enter_context(one))
        until(lambda: len(stored_of(tmp_path)) == 2 and count(tmp_path) > 20, "both send")
        running.kill()
        running = stack.enter_context(hub(tmp_path, *listening))
        before = stored_of(tmp_path)
        until(lambda: all(n > before[name] + 20 for name, n in stored_of(tmp_path).items()), "both are back")
        for one in groups:
            one.interrupt()
            assert one.ended() == 0, one.err
            numbers = totals(one)
            assert numbers["sent"] == numbers["acknowledged"] + numbers.get("known", 0), numbers
        running.interrupt()
        assert running.ended() == 0
    check_complete(tmp_path)
    assert query(tmp_path, "SELECT count(*) FROM reading WHERE val != seq") == [(0,)]
