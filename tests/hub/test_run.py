"""`bourn run`: sensors, hub and page together; however it ends, nothing is lost and nothing is left."""

import fcntl
import json
import os
import pty
import random
import re
import signal
import socket
import subprocess
import termios
import time
from pathlib import Path

import psutil
import pytest
from processes import (
    BOURN,
    LONGEST,
    Program,
    check_complete,
    count,
    csv_ids,
    hub,
    journal_ids,
    micropython,
    nothing_left,
    query,
    sensors,
    stored_of,
    totals,
    until,
    url_of,
)

from bourn.device.sensors import KINDS

STOP_S = 30  # in which everything has to end; it takes less than 5 s, but not on a machine that does ten other things


def run(folder: Path, *options: str) -> Program:
    """`bourn run` over `folder`/bourn.db and `folder`/all.csv."""
    return Program(*BOURN, "run", *LONGEST, "--csv-file", "all.csv", *options, cwd=folder)


def check_equal(folder: Path, running: Program) -> int:
    """What the closing line says is what is in SQLite and in the CSV file; how many readings that are."""
    numbers = totals(running)
    assert numbers["sent"] == numbers["acknowledged"] == numbers["stored"], running.out
    assert sum(check_complete(folder, "bourn.db").values()) == numbers["stored"]
    assert csv_ids(folder / "all.csv") == journal_ids(folder, "bourn.db")
    assert not running.err
    return numbers["stored"]


def nodes(running: Program) -> dict[str, psutil.Process]:
    """The sensors' processes by the names of their sources."""
    found = {}
    for process in running.remember():
        words = process.cmdline()
        if "bourn.device.node" in words:
            settings = json.loads("".join(words[words.index("bourn.device.node") + 1 :]))
            found[settings["source"]] = process
    return found


def sources(folder: Path) -> set[str]:
    """The sources of which something is stored."""
    return set(stored_of(folder, "bourn.db"))


def closed(url: str) -> bool:
    """Nobody listens at this address."""
    host, port = re.findall(r"//([^/:]+):(\d+)", url)[0]
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) != 0


def test_it_ends_by_itself_and_says_equal_numbers(tmp_path: Path) -> None:
    options = ("--every", "0.2", "--for", "5", "--log-to-screen", "--log-to-plot", "--to", "memory:")
    with run(tmp_path, *options) as running, nothing_left(running):
        url, page = url_of(running), running.said(r"^page +(http://\S+)")[1]
        assert running.ended() == 0
    stored = check_equal(tmp_path, running)
    assert stored > 0
    shown = [line for line in running.out if re.match(r"\d\d:\d\d:\d\d\.\d{3}  s\d ", line)]
    assert len(shown) == stored
    assert re.fullmatch(r"readings: sent \d+, acknowledged \d+, stored \d+", running.out[-1])
    assert closed(url) and closed(page)
    values = [val for (val,) in query(tmp_path, "SELECT val FROM reading", "bourn.db")]
    assert all(type(val) is int and -100 <= val <= 100 for val in values)


def test_one_of_the_sensors_runs_on_micropython(tmp_path: Path) -> None:
    python = micropython()
    with run(tmp_path, "--every", "0.05", "--micropython", python) as running, nothing_left(running):
        running.said("the last one on MicroPython")
        until(lambda: sources(tmp_path) == {"s1", "s2", "s3", "s4", "s5"}, "all five send")
        interpreters = {name: " ".join(process.cmdline()) for name, process in nodes(running).items()}
        assert [name for name, command in sorted(interpreters.items()) if "micropython" in command] == ["s5"]
        running.interrupt()
        assert running.ended(STOP_S) == 0
    check_equal(tmp_path, running)


def test_ctrl_c_in_a_terminal(tmp_path: Path) -> None:
    """The terminal sends it to everything in the foreground; it stops each in its order all the same."""
    ours, theirs = pty.openpty()

    def own_the_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    options = {"stdin": theirs, "preexec_fn": own_the_terminal}
    command = [*BOURN, "run", "--every", "0.05", "--csv-file", "all.csv", *LONGEST]
    with Program(*command, cwd=tmp_path, **options) as running, nothing_left(running):
        until(lambda: len(sources(tmp_path)) == 5, "all five send")
        os.write(ours, b"\x03")
        assert running.ended(STOP_S) == 0
    os.close(ours)
    os.close(theirs)
    assert check_equal(tmp_path, running) > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_ends_everything_in_order(tmp_path: Path, seed: int, number: signal.Signals) -> None:
    """From the first line that it prints on; before, there is nothing yet to be ended."""
    chance = random.Random(seed + number)
    longest = 0.0
    for pause in [0.0, 0.05, *[chance.uniform(0, 1.5) for _ in range(3)]]:
        folder = tmp_path / f"{pause}"
        folder.mkdir()
        options = ("--every", "0.02", "--log-to-plot", "--micropython", "none")
        with run(folder, *options) as running, nothing_left(running):
            running.said("^Bourn ")
            time.sleep(pause)
            began = time.monotonic()
            running.interrupt(number)
            assert running.ended(STOP_S) == 0, f"after {pause} s"
            longest = max(longest, time.monotonic() - began)
            assert closed(url_of_ended(running))
        check_equal(folder, running)
    print(f"{number.name}: ended within {longest:.1f} s")


def url_of_ended(running: Program) -> str:
    """The hub's address, when it has ended already."""
    return next(line.split()[1] for line in running.out if line.startswith("hub "))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_right_after_the_start_leaves_nothing(tmp_path: Path, seed: int, number: signal.Signals) -> None:
    """While Python is still reading the program a signal ends it as every program; later, in order; nothing stays."""
    chance = random.Random(seed + number)
    for i in range(8):
        folder = tmp_path / str(i)
        folder.mkdir()
        with run(folder, "--every", "0.02", "--micropython", "none") as running, nothing_left(running):
            time.sleep(chance.uniform(0, 0.5))
            running.remember()
            running.interrupt(number)
            status = running.ended(STOP_S)
            assert status in {0, 1, 130, -number}
            if (folder / "bourn.db").exists():  # the hub was begun
                assert status == 0, running.err
                check_equal(folder, running)


def test_a_second_signal_does_not_wait_for_the_sensors(tmp_path: Path) -> None:
    """There is no hub, so the sensors would wait for it as long as they may."""
    with sensors(tmp_path, "tcp://127.0.0.1:1", "--every", "0.05", "--micropython", "none") as five, nothing_left(five):
        until(lambda: len(nodes(five)) == 5, "five sensors run")
        until(lambda: len(list(tmp_path.glob("bourn.outbox/*/*.seg"))) == 5, "they have readings")
        five.interrupt()
        five.said("^stopping")
        five.interrupt()
        assert five.ended(STOP_S) == 0
    assert len([line for line in five.out if "had to be killed" in line]) == 5


def test_sensors_without_a_hub_keep_what_they_have(tmp_path: Path) -> None:
    with sensors(
        tmp_path, "tcp://127.0.0.1:1", "--num-sensors", "2", "--every", "0.05", "--micropython", "none"
    ) as two:
        until(lambda: len(list(tmp_path.glob("bourn.outbox/*/*.seg"))) == 2, "they have readings")
        two.interrupt(signal.SIGTERM)
        assert two.ended(STOP_S) == 0
    numbers = totals(two)
    assert numbers["sent"] == numbers["acknowledged"] == 0 < numbers["waiting"]
    assert any("cannot reach" in line or "failed" in line for line in two.out), "and why"


def test_whoever_waits_for_a_hub_hears_why_and_when_it_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with sensors(tmp_path, f"tcp://127.0.0.1:{port}", "--num-sensors", "3", "--every", "0.1") as both:
        until(lambda: any("it tries again" in line for line in both.out), "a word")
        with hub(tmp_path, listen=f"tcp://127.0.0.1:{port}") as there:
            until(lambda: "every sensor reaches the hub again" in both.out, "another")
            both.interrupt()
            assert both.ended() == 0
            there.interrupt()
            assert there.ended() == 0
    [why] = [line for line in both.out if "it tries again" in line]
    assert "nobody listens there" in why and "Errno" not in why, "once, in words, on both interpreters"


@pytest.mark.parametrize("command", ["run", "sensors"])
def test_sensors_end_by_themselves_when_who_started_them_is_killed(tmp_path: Path, command: str) -> None:
    options = ("--every", "0.05")
    starting = run(tmp_path, *options) if command == "run" else sensors(tmp_path, "tcp://127.0.0.1:1", *options)
    with starting as running:
        until(lambda: len(nodes(running)) == 5, "five sensors run")
        until(lambda: len(list(tmp_path.glob("bourn.outbox/*/*.seg"))) == 5, "they have readings")
        started = nodes(running)
        running.kill()
        until(lambda: not [one for one in started.values() if one.is_running()], "all are gone", STOP_S)
    assert not running.remember()


def test_a_killed_hub_in_the_middle_of_a_run_loses_nothing(tmp_path: Path) -> None:
    """The whole of `bourn run` is killed, and run again over the same files: what was accepted comes in, once."""
    options = ("--every", "0.02", "--micropython", "none")
    for _ in range(2):
        with run(tmp_path, *options) as running:
            before = count(tmp_path, "bourn.db")
            until(lambda: count(tmp_path, "bourn.db") > before + 50, "readings come")
            started = nodes(running)
            running.kill()
            until(lambda: not [one for one in started.values() if one.is_running()], "all are gone", STOP_S)
    with run(tmp_path, *options) as running, nothing_left(running):
        before = count(tmp_path, "bourn.db")
        until(lambda: count(tmp_path, "bourn.db") > before + 50, "readings come")
        running.interrupt()
        assert running.ended(STOP_S) == 0
    check_complete(tmp_path, "bourn.db")
    assert csv_ids(tmp_path / "all.csv") == journal_ids(tmp_path, "bourn.db")
    assert "waiting" not in totals(running)


def test_a_killed_sensor_is_started_again_and_told(tmp_path: Path) -> None:
    with (
        run(tmp_path, "--num-sensors", "3", "--every", "0.05", "--micropython", "none") as running,
        nothing_left(running),
    ):
        until(lambda: len(sources(tmp_path)) == 3, "all three send")
        nodes(running)["s2"].kill()
        running.said(r"^sensor s2 ended \(.*\); starting it again")
        until(lambda: epochs(tmp_path) == {"s1": 1, "s2": 2, "s3": 1}, "it is back")
        running.interrupt()
        assert running.ended(STOP_S) == 0
    check_complete(tmp_path, "bourn.db")
    assert csv_ids(tmp_path / "all.csv") == journal_ids(tmp_path, "bourn.db")


def epochs(folder: Path) -> dict[str, int]:
    """How many epochs are stored of each source."""
    return dict(query(folder, "SELECT source, count(*) FROM stream GROUP BY source", "bourn.db"))


def test_sensors_of_different_kinds_and_periods_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "sensors.toml").write_text(
        """
        [[sensor]]
        name = "dice"
        every = "50ms"
        options = { low = 1, high = 6 }

        [[sensor]]
        name = "count.er"
        kind = "counter"
        every = 0.1
        options = { start = 100 }

        [[sensor]]
        name = "load-1"
        kind = "load"
        every = "200ms"

        [[sensor]]
        name = "wave"
        kind = "wave"
        """
    )
    with run(tmp_path, "--config", "sensors.toml", "--micropython", "none") as running, nothing_left(running):
        until(lambda: len(sources(tmp_path)) == 4, "all four send")
        until(
            lambda: query(tmp_path, "SELECT count(*) FROM reading WHERE sensor = 'dice'", "bourn.db")[0][0] > 5,
            "a while",
        )
        running.interrupt()
        assert running.ended(STOP_S) == 0
    check_equal(tmp_path, running)
    values = {name: [] for name in ("dice", "count.er", "load-1", "wave")}  # type: dict[str, list[float]]
    for sensor, val in query(tmp_path, "SELECT sensor, val FROM reading ORDER BY pos", "bourn.db"):
        values[sensor].append(val)
    assert set(values["dice"]) <= {1, 2, 3, 4, 5, 6}
    assert values["count.er"] == list(range(100, 100 + len(values["count.er"])))
    assert values["load-1"][0] >= 0
    assert abs(values["wave"][0]) <= 1
    assert len(values["dice"]) > len(values["wave"])


def test_readings_of_this_machine(tmp_path: Path) -> None:
    kinds = {kind for kind, row in KINDS.items() if row[0] == "system"} - {"temperature"}
    with run(tmp_path, "--system-data", "--every", "100ms") as running, nothing_left(running):
        until(lambda: sources(tmp_path) >= kinds, "all of them send")
        running.interrupt()
        assert running.ended(STOP_S) == 0
    check_equal(tmp_path, running)
    found = dict(query(tmp_path, "SELECT sensor, val FROM reading", "bourn.db"))
    assert 0 < found["memory"] < 100
    assert len(json.loads(found["network"])) == 2
    assert f"sensors  {len(found)}, each" in "\n".join(running.out)


def test_two_halves_on_two_machines(tmp_path: Path) -> None:
    """The hub alone and the sensors alone, as on two machines."""
    there = tmp_path / "there"
    there.mkdir()
    with hub(tmp_path, "--csv-file", "all.csv") as running, nothing_left(running):
        with sensors(there, url_of(running), "--every", "0.05") as five, nothing_left(five):
            until(lambda: len({id.split(":")[0] for id in journal_ids(tmp_path)}) == 5, "all five send")
            five.interrupt(signal.SIGTERM)
            assert five.ended(STOP_S) == 0
        running.interrupt(signal.SIGTERM)
        assert running.ended(STOP_S) == 0
    stored = sum(check_complete(tmp_path).values())
    assert totals(five)["acknowledged"] == totals(running)["stored"] == stored
    assert csv_ids(tmp_path / "all.csv") == journal_ids(tmp_path)


def test_the_same_journal_goes_on(tmp_path: Path) -> None:
    """Three runs over the same files: each says its own numbers, the files hold all."""
    stored = 0
    for _ in range(3):
        with run(tmp_path, "--num-sensors", "2", "--every", "0.05", "--micropython", "none") as running:
            until(lambda: count(tmp_path, "bourn.db") > stored, "readings come")
            running.interrupt()
            assert running.ended(STOP_S) == 0
        numbers = totals(running)
        assert numbers["sent"] == numbers["acknowledged"] == numbers["stored"] > 0
        assert f"({stored} readings)" in "\n".join(running.out)
        stored += numbers["stored"]
    assert sum(check_complete(tmp_path, "bourn.db").values()) == stored
    assert csv_ids(tmp_path / "all.csv") == journal_ids(tmp_path, "bourn.db")


def test_standard_output_that_is_closed_ends_nothing(tmp_path: Path) -> None:
    """`bourn run | head -1`: who looked has gone; readings are stored all the same."""
    command = [*BOURN, "run", *LONGEST, "--every", "0.05", "--log-to-screen", "--micropython", "none"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout and running.stderr
        try:
            assert running.stdout.readline().startswith("Bourn")
            running.stdout.close()
            until(lambda: count(tmp_path, "bourn.db") > 50, "readings come")
            running.send_signal(signal.SIGINT)
            assert running.wait(STOP_S) == 0
            complaints = running.stderr.read().splitlines()
            assert [line for line in complaints if "repository_failed: repository screen:" not in line] == []
        finally:
            running.kill()
    check_complete(tmp_path, "bourn.db")
