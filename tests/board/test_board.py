"""`bourn board` and mpremote with a fake serial port, a real MicroPython and a real littlefs behind it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import serial

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(Path(__file__).resolve().parent)]
from fake_board import FakeBoard  # noqa: E402 - the same

from bourn.cli.boards import BoardError  # noqa: E402 - the same
from bourn.cli.boards.device_files import files  # noqa: E402 - the same
from bourn.cli.boards.link import Link, choose_port  # noqa: E402 - the same
from bourn.cli.boards.project import MAIN  # noqa: E402 - the same

SEED = int(os.environ.get("BOURN_SEED", "20"))
BOURN = [sys.executable, "-m", "bourn"]
MPREMOTE = [sys.executable, "-m", "mpremote"]
PASSWORD = "correct horse"
COUNTING = "import bourn.things\nprint('version', %d)\n"


Bourn = Callable[..., tuple[int, str, str]]


def project(folder: Path, version: int) -> None:
    """A project whose program says which one it is."""
    (folder / "board").mkdir(exist_ok=True)
    (folder / "board" / "main.py").write_text(COUNTING % version)


def on_board(port: str, code: str) -> str:
    with Link(port) as link:
        return link.run(code)


def output_of_main(port: str) -> str:
    """What the board's program prints when it starts."""
    said: list[str] = []
    with Link(port) as link:
        link.watch(said.append)
    return "".join(said)


# The three commands.


@contextlib.contextmanager
def hub(folder: Path) -> Iterator[str]:
    """A real hub; its URL."""
    process = subprocess.Popen(
        [*BOURN, "hub", "--listen", "tcp://127.0.0.1:0", "--no-web"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        yield next(found[0] for line in lines if (found := re.search(r"tcp://127\.0\.0\.1:\d+", line)))
    finally:
        process.terminate()
        process.wait(20)


def type_password(command: list[str], folder: Path) -> str:
    """Run a command at a terminal, type the password when it is asked for; all that the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execv(command[0], command)
    shown = b""
    typed = False
    while True:
        try:
            data = os.read(terminal, 1024)
        except OSError:  # its end, on Linux
            break
        if not data:
            break
        shown += data
        if not typed and b"password" in shown.lower():
            typed = True
            time.sleep(0.2)  # it turns the echo off after it has asked
            os.write(terminal, PASSWORD.encode() + b"\n")
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0, shown
    return shown.decode()


def rows(journal: Path) -> list[tuple[str, object]]:
    with contextlib.closing(sqlite3.connect(journal)) as base:
        return base.execute("select sensor, val from readings").fetchall()


def times(journal: Path) -> list[int]:
    """When the uptime was read, in order."""
    with contextlib.closing(sqlite3.connect(journal)) as base:
        asked = "select ts from reading where sensor like '%-uptime' order by pos"
        return [ts for (ts,) in base.execute(asked)]


def test_from_an_empty_board_to_readings_at_the_hub(tmp_path: Path, board: FakeBoard) -> None:
    began = time.time() * 1000
    with hub(tmp_path) as url:
        shown = type_password([*BOURN, "board", "init", "--hub", url, "--name", "shed", "--wifi", "home"], tmp_path)
        assert PASSWORD not in shown
        settings = tmp_path / "board" / "settings.json"
        assert settings.stat().st_mode & 0o777 == 0o600
        wifi = {"name": "home", "password": PASSWORD}
        assert json.loads(settings.read_text()) == {"name": "shed", "hub": url, "every": 5, "wifi": wifi}
        settings.write_text(settings.read_text().replace('"every": 5', '"every": 0.2'))
        assert len((tmp_path / "board" / "README.md").read_text().splitlines()) == 6

        command = [*BOURN, "board", "install", "--port", board.port]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        copied = len(files("core")) + len(files("device")) + 2
        assert f"copied {copied} files, 0 were up to date" in done.stdout
        assert PASSWORD not in done.stdout + done.stderr

        command = [*BOURN, "board", "run", "--port", board.port]
        running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        try:
            assert running.stdout
            line = next(line for line in iter(running.stdout.readline, "") if "[INF] hub up" in line)
            assert re.search(r"sent \d+, acknowledged \d+, waiting \d+$", line.strip())
            end = time.monotonic() + 20
            while len(rows(tmp_path / "bourn.db")) < 6:
                assert time.monotonic() < end, "no readings at the hub"
                time.sleep(0.05)
        finally:
            running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=20)
        assert "the board goes on" in rest and running.returncode == 0
        assert {sensor for sensor, _ in rows(tmp_path / "bourn.db")} == {"shed-memory", "shed-uptime"}

        stamps = times(tmp_path / "bourn.db")  # the board's own clock began in the year 2000
        assert stamps == sorted(stamps) and began < stamps[0] and stamps[-1] <= time.time() * 1000 + 100

        before = len(rows(tmp_path / "bourn.db"))
        end = time.monotonic() + 20
        while len(rows(tmp_path / "bourn.db")) < before + 4:  # nobody watches, and it goes on
            assert time.monotonic() < end, "the board has stopped with the command"
            time.sleep(0.05)

        command = [*BOURN, "board", "log", "--port", board.port]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert re.search(r"(?m)^\d{4}-[\d: -]+ \[INF\] hub up, sent \d+, acknowledged \d+", done.stdout), done


# Installing again, and being interrupted.


def test_a_second_time_only_what_has_changed(tmp_path: Path, board: FakeBoard, bourn: Bourn) -> None:
    project(tmp_path, 1)
    status, out, err = bourn("install", "--port", board.port, "core")
    assert status == 0, err
    status, out, _ = bourn("install", "--port", board.port, "core")
    assert "up to date" in out and "to copy" not in out
    project(tmp_path, 2)
    _, out, _ = bourn("install", "--port", board.port, "core")
    assert "copied 1 files" in out
    assert "version 2" in output_of_main(board.port)
    # sources instead: a .py would hide a .mpy of the same name, and the other way round nobody knows
    _, out, _ = bourn("install", "--port", board.port, "--py", "core")
    assert f"{len(files('core'))} removed" in out
    names = on_board(board.port, "import os; print(os.listdir('/lib/bourn'), os.listdir('/'))")
    assert ".mpy" not in names and "things.py" in names and "bourn.new" not in names
    assert "version 2" in output_of_main(board.port)
    on_board(
        board.port,
        "f = open('/lib/threading.py', 'w'); f.write('old'); f.close(); f = open('/mine.py', 'w'); f.close()",
    )
    status, out, _ = bourn("install", "--port", board.port, "--mpy", "all")
    assert status == 0
    use = "import os, threading; print(threading.__file__, os.listdir('/'), threading.Condition)"
    found = on_board(board.port, use)
    assert "/lib/threading.mpy" in found and "mine.py" in found


def test_cut_anywhere_the_old_program_works_and_the_next_try_goes_on(
    tmp_path: Path, board: FakeBoard, bourn: Bourn
) -> None:
    print("seed", SEED)
    choose = random.Random(SEED)
    project(tmp_path, 1)
    assert bourn("install", "--port", board.port, "--py", "core")[0] == 0
    project(tmp_path, 2)
    before = board.received
    resumed = 0
    for attempt in range(3):
        board.unplug_after(choose.randrange(8000, 40000))
        status, out, err = bourn("install", "--port", board.port, "core")
        assert status == 2 and "the same command again" in err, (attempt, out, err)
        resumed += "from the last time" in out
        board.unplug()
        board.plug()
        assert "version 1" in output_of_main(board.port), "the old program is gone"
    status, out, err = bourn("install", "--port", board.port, "core")
    assert status == 0 and "from the last time" in out, (out, err)
    assert resumed >= 1
    assert "version 2" in output_of_main(board.port)
    assert "bourn.new" not in on_board(board.port, "import os; print(os.listdir('/'))")
    assert board.received > before


def test_a_cut_while_files_are_put_into_place_is_made_good(
    tmp_path: Path, board: FakeBoard, bourn: Bourn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bourn.cli.boards.install import Installer

    project(tmp_path, 1)
    assert bourn("install", "--port", board.port, "--py", "core")[0] == 0
    project(tmp_path, 2)
    move = Installer._move

    def cut(self: Installer, paths: list[str]) -> None:
        move(self, paths[:20])
        raise BoardError("cut")

    monkeypatch.setattr(Installer, "_move", cut)
    assert bourn("install", "--port", board.port, "core")[0] == 2
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    status, out, err = bourn("install", "--port", board.port, "core")
    assert status == 0 and "copied 0 files" in out, (out, err)
    assert "version 2" in output_of_main(board.port)


def test_a_small_flash(tmp_path: Path, micropython: list[str], bourn: Bourn) -> None:
    project(tmp_path, 1)
    with FakeBoard(tmp_path, micropython, flash_kb=256) as small:
        status, out, err = bourn("install", "--port", small.port, "all")
        assert status == 2 and "the flash is full" in err and "core" in err, (out, err)
        assert "main.py" not in on_board(small.port, "import os; print(os.listdir('/'))")
    (tmp_path / "flash.img").unlink()
    with FakeBoard(tmp_path, micropython, flash_kb=704) as small:
        assert bourn("install", "--port", small.port, "--mpy", "core")[0] == 0
        free = int(on_board(small.port, "import os; print(os.statvfs('/')[3] * 4096)"))
        for letter in "ab":  # 5 files of a sixth of what is free: never twice side by side, one by one they fit
            for name in "vwxyz":
                (tmp_path / "board" / f"{name}.txt").write_text(letter * (free // 6 - 4096))
            status, out, err = bourn("install", "--port", small.port, "--mpy", "core")
            assert status == 0 and ("one by one" in out) == (letter == "b"), (out, err)
            read = "print(*[open('/' + name + '.txt').read(1) for name in 'vwxyz'])"
            assert on_board(small.port, read).split() == [letter] * 5


# What can be wrong.


def test_an_old_micropython_is_told_so(tmp_path: Path, micropython: list[str], bourn: Bourn) -> None:
    project(tmp_path, 1)
    with FakeBoard(tmp_path, micropython, version="1.24.1") as old:
        status, _, err = bourn("install", "--port", old.port)
        assert status == 2 and "micropython 1.24.1" in err and "1.25 or newer" in err
        assert "lib" not in on_board(old.port, "import os; print(os.listdir('/'))")


def a_port(device: str, vid: int | None) -> SimpleNamespace:
    return SimpleNamespace(device=device, vid=vid, description="a board")


def test_which_port() -> None:
    with pytest.raises(BoardError, match=r"it has no serial port.*cable"):
        choose_port(None, [])
    with pytest.raises(BoardError, match=r"/dev/ttyS0.*is a USB device"):
        choose_port(None, [a_port("/dev/ttyS0", None)])
    with pytest.raises(BoardError, match=r"2 boards; say which:\n  --port /dev/ttyACM0 .*\n  --port /dev/ttyACM1"):
        choose_port(None, [a_port("/dev/ttyACM0", 1), a_port("/dev/ttyACM1", 1)])
    assert choose_port(None, [a_port("/dev/ttyS0", None), a_port("/dev/ttyACM1", 1)]) == "/dev/ttyACM1"
    with pytest.raises(BoardError, match=r"there is no port /dev/nowhere; .*: /dev/ttyS0"):
        choose_port("/dev/nowhere", [a_port("/dev/ttyS0", None)])


def test_a_port_that_another_program_has(board: FakeBoard, bourn: Bourn) -> None:
    with serial.Serial(board.port, exclusive=True):
        status, _, err = bourn("run", "--port", board.port)
    assert status == 2 and "in use by another program" in err


def test_a_port_that_is_not_for_this_user(board: FakeBoard, bourn: Bourn) -> None:
    os.chmod(board.port, 0)
    if os.geteuid() == 0:  # root may use any: as somebody else, then, who has loaded everything before
        code = (
            "import os, sys; from bourn.cli.boards import BoardError; from bourn.cli.boards.link import Link\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try: Link(sys.argv[1])\nexcept BoardError as e: print(e)"
        )
        command = [sys.executable, "-c", code, board.port]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        said = bourn("run", "--port", board.port)[2]
    assert re.search(r"you may not use /dev/pts/\d+, which is for the group \w+: `sudo usermod -aG \w+ \$USER`", said)


def test_something_that_is_no_micropython(bourn: Bourn, monkeypatch: pytest.MonkeyPatch) -> None:
    from bourn.cli.boards import link

    monkeypatch.setattr(link, "ANSWER_S", 0.5)
    monkeypatch.setattr(link, "SILENCE_S", 0.5)
    master, slave = pty.openpty()
    try:
        status, _, err = bourn("run", "--port", os.ttyname(slave))
    finally:
        os.close(master)
        os.close(slave)
    assert status == 2 and "does not answer as MicroPython does" in err and "reset" in err


def test_a_program_that_fails(tmp_path: Path, board: FakeBoard, bourn: Bourn) -> None:
    project(tmp_path, 1)
    assert bourn("install", "--port", board.port, "core")[0] == 0
    (tmp_path / "board" / "main.py").write_text("print('begun')\n1 / 0\n")
    assert bourn("install", "--port", board.port, "core")[0] == 0
    status, out, err = bourn("run", "--port", board.port)
    assert status == 2 and "begun" in out and "ZeroDivisionError" in out and "main.py has ended" in err
    status, _, err = bourn("log", "--port", board.port)
    assert status == 2 and "there is no bourn.log on the board" in err


def test_a_project_that_is_none(tmp_path: Path, board: FakeBoard, bourn: Bourn) -> None:
    status, _, err = bourn("install", "--port", board.port)
    assert status == 2 and "bourn board init" in err
    project(tmp_path, 1)
    status, _, err = bourn("install", "--port", board.port, "everything")
    assert status == 2 and "core, device, all" in err
    (tmp_path / "board" / "settings.json").write_text('{"name": "shed",\n "every": 5,\n}')
    status, _, err = bourn("install", "--port", board.port)
    assert status == 2 and "settings.json is no JSON" in err and "line 3" in err and "nothing was copied" in err
    assert "main.py" not in on_board(board.port, "import os; print(os.listdir('/'))")


def test_init_writes_over_nothing_and_refuses_what_no_hub_takes(tmp_path: Path, bourn: Bourn) -> None:
    for words in (("--name", "a b"), ("--hub", "http://x")):
        status, _, err = bourn("init", "--wifi", "", *words)
        assert status == 2 and words[0] in err
        assert not (tmp_path / "board").exists()
    assert bourn("init", "--wifi", "")[0] == 0
    assert "wifi" not in json.loads((tmp_path / "board" / "settings.json").read_text())
    (tmp_path / "board" / "main.py").write_text("mine")
    status, _, err = bourn("init", "--wifi", "")
    assert status == 2 and "--force" in err and (tmp_path / "board" / "main.py").read_text() == "mine"
    assert bourn("init", "--wifi", "", "--force")[0] == 0
    compile((tmp_path / "board" / "main.py").read_text(), "main.py", "exec")


def test_the_chip_that_main_py_names_is_sampled_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.findall(r"^#     (.*)$", MAIN, re.MULTILINE)
    monkeypatch.setitem(sys.modules, "machine", SimpleNamespace(I2C=lambda number: None))  # type: ignore[arg-type] # one
    sampled: list[tuple[str, int]] = []
    board = SimpleNamespace(name="shed", sample=lambda sensor, every_s: sampled.append((sensor.sensor_id, every_s)))
    exec("\n".join(lines), {"board": board})
    assert len(lines) == 4 and sampled == [("shed-air", 60)]


@pytest.mark.parametrize(
    ("hub", "url"),
    [
        ("192.0.2.5", "tcp://192.0.2.5:7007"),
        ("hub.local:7100", "tcp://hub.local:7100"),
        ("tcp://[2001:db8::5]", "tcp://[2001:db8::5]:7007"),
        ("tls://hub.local:7443?ca=ca.pem", "tls://hub.local:7443?ca=ca.pem"),
    ],
)
def test_a_hub_may_be_a_host_alone(tmp_path: Path, bourn: Bourn, hub: str, url: str) -> None:
    status, out, err = bourn("init", "--wifi", "", "--hub", hub)
    assert status == 0, err
    assert json.loads((tmp_path / "board" / "settings.json").read_text())["hub"] == url
    assert f"hub:   {url}\n" in out and ("--insecure" in out) == url.startswith("tcp:")
    assert ("what the URL names: ca.pem" in out) == url.startswith("tls:")


# mpremote itself: what the README says works from a clone.


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("./package.json", "from bourn import Sender, Scheduler; from bourn.device import mqtt; print('works')"),
        ("./core.json", "from bourn import Scheduler, where; print('works')"),
        ("./stdlib/package.json", "import threading, queue; print(threading.Lock() and 'works')"),
    ],
)
def test_mpremote_mip_installs_from_a_clone(board: FakeBoard, package: str, use: str) -> None:
    command = [*MPREMOTE, "connect", board.port, "mip", "install", package]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert on_board(board.port, use).strip() == "works"
