"""What a newcomer meets with `bourn board`: a project's name, hub and settings, and boards of other kinds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import serial
from fake_board import FakeBoard

from bourn import wire
from bourn.cli.boards.link import Link
from bourn.cli.boards.project import MAIN

Bourn = Callable[..., tuple[int, str, str]]
BOURN = [sys.executable, "-m", "bourn"]
SETTINGS = {"name": "shed", "hub": "tcp://192.168.1.10:7007", "every": 5}


def project(folder: Path, program: str, **settings: object) -> Path:
    """A project with that main.py and these settings."""
    place = folder / "board"
    place.mkdir(exist_ok=True)
    (place / "main.py").write_text(program)
    if settings:
        (place / "settings.json").write_text(json.dumps(settings))
    return place


def program_says(port: str) -> str:
    said: list[str] = []
    with Link(port) as link:
        link.watch(said.append)
    return "".join(said)


# A project.


def test_two_boards_have_two_names(tmp_path: Path, bourn: Bourn) -> None:
    names = set()
    for n in range(20):
        status, out, err = bourn("init", f"p{n}", "--wifi", "", "--hub", "192.0.2.1")
        assert status == 0, err
        name = json.loads((tmp_path / f"p{n}" / "settings.json").read_text())["name"]
        assert wire.source_ok(name) and re.fullmatch(r"board-[a-z2-9]{4}", name) and f"name:  {name}\n" in out
        assert f"# {name}\n" in (tmp_path / f"p{n}" / "README.md").read_text()
        names.add(name)
    assert len(names) == 20


def test_a_project_on_a_second_board_is_told(tmp_path: Path, micropython: list[str], bourn: Bourn) -> None:
    place = project(tmp_path, "print('x')\n")
    for name, told in (("a", False), ("b", True), ("a", False), ("b", False)):
        (tmp_path / name).mkdir(exist_ok=True)
        with FakeBoard(tmp_path / name, micropython) as board:
            status, out, err = bourn("install", "core", "--port", board.port)
            assert status == 0 and ("on another board" in out) == told, (name, out, err)
            assert "bourn board init board2" in out or not told
            with Link(board.port) as link:
                assert "boards" not in link.run("import os; print(os.listdir('/'))")
    (place / ".boards").unlink()
    (place / ".boards").mkdir()  # no file can be written there: nothing is told, and nothing fails
    with FakeBoard(tmp_path / "a", micropython) as board:
        assert bourn("install", "core", "--port", board.port)[0] == 0


@pytest.mark.parametrize(
    ("hub", "url"),
    [
        ("2001:db8::5", "tcp://[2001:db8::5]:7007"),
        ("[2001:db8::5]:7100", "tcp://[2001:db8::5]:7100"),
        ("tcp://hub.local/", "tcp://hub.local:7007"),
        ("tls://hub.local?ca=ca.pem", "tls://hub.local:7443?ca=ca.pem"),
        ("mqtts://broker/home?ca=ca.pem", "mqtts://broker/home?ca=ca.pem"),
    ],
)
def test_what_a_hub_is_called(tmp_path: Path, bourn: Bourn, hub: str, url: str) -> None:
    status, out, err = bourn("init", "--wifi", "", "--hub", hub)
    assert status == 0, err
    assert json.loads((tmp_path / "board" / "settings.json").read_text())["hub"] == url
    commands = re.findall(r"bourn hub .*", out + (tmp_path / "board" / "README.md").read_text().replace("`", "\n"))
    if url.startswith("tcp:"):
        port = url.rpartition(":")[2]
        assert commands == [f"bourn hub --listen tcp://0.0.0.0:{port} --insecure --log-to-plot"] * 2
    else:
        assert not commands, "what would start a hub that this board does not look for"


@pytest.mark.parametrize(
    ("hub", "said"),
    [
        ("hub local", "is no host"),
        ("host:", "is no host"),
        ("tcp://me@host:7007", "is no host"),
        ("unix:/run/bourn", "is no host"),
        ("host:70000", "looks like"),
        ("tls://hub.local", "trusts nobody by itself: tls://hub.local:7443?ca=ca.pem"),
        ("mqtts://broker/home", "trusts nobody by itself"),
        ("http://x", "looks like"),
    ],
)
def test_what_is_no_hub_is_told_in_a_line(tmp_path: Path, bourn: Bourn, hub: str, said: str) -> None:
    status, _, err = bourn("init", "--wifi", "", "--hub", hub)
    assert status == 2 and said in err and err.startswith("bourn: --hub: ") and len(err.splitlines()) == 1, err
    assert not (tmp_path / "board").exists()


def test_a_hub_on_this_machine_alone_is_no_hub_for_a_board(bourn: Bourn) -> None:
    for n, hub in enumerate(("localhost", "127.0.0.1:7100", "::1")):
        status, out, _ = bourn("init", f"p{n}", "--wifi", "", "--hub", hub)
        assert status == 0 and "the board itself" in out and "--hub" in out, hub
    assert "the board itself" not in bourn("init", "p9", "--wifi", "", "--hub", "192.0.2.1")[1]


def test_where_nobody_can_be_asked_it_is_said_what_to_do(tmp_path: Path) -> None:
    for words, said in (([], "--wifi ''"), (["--wifi", "home"], "settings.json")):
        command = [*BOURN, "board", "init", *words]
        done = subprocess.run(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2 and said in done.stderr.splitlines()[-1], done
        assert not (tmp_path / "board").exists()


# Settings that a board could only answer with a traceback.


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "a b"}, '"name" is made of'),
        ({"name": None}, '"name" is made of'),
        ({"hub": "192.168.1.10:7007"}, '"hub": '),
        ({"hub": None}, '"hub": '),
        ({"every": "5s"}, "\"every\" is a number above 0, not '5s'"),
        ({"every": 0}, '"every" is a number above 0'),
        ({"pause": True}, '"pause" is a number'),
        ({"wifi": {"ssid": "home"}}, '"wifi" is {"name": ..., "password": ...}'),
        ({"wifi": "home"}, '"wifi" is {"name": ..., "password": ...}'),
        ({"ntp": 123}, '"ntp" is a text'),
    ],
)
def test_settings_that_are_wrong(
    tmp_path: Path, board: FakeBoard, bourn: Bourn, change: dict[str, object], said: str
) -> None:
    place = project(tmp_path, MAIN, **{**SETTINGS, **change})
    status, _, err = bourn("install", "--port", board.port)
    assert status == 2 and said in err and "settings.json" in err and "nothing was copied" in err, err
    if change == {"every": 0}:
        (place / "main.py").write_text("print('they are for something else')\n")
        assert bourn("install", "core", "--port", board.port)[0] == 0


def test_a_file_that_settings_name_is_missed_and_an_array_is_no_object(
    tmp_path: Path, board: FakeBoard, bourn: Bourn
) -> None:
    place = project(tmp_path, MAIN, **{**SETTINGS, "hub": "tls://hub:7443?ca=ca.pem", "keys": "sensors.keys"})
    status, out, err = bourn("install", "core", "--port", board.port)
    assert status == 0 and "names ca.pem, which" in out and "names sensors.keys, which" in out, err
    for name in ("ca.pem", "sensors.keys"):
        (place / name).write_text("x")
    assert "which is not in" not in bourn("install", "core", "--port", board.port)[1]
    (place / "settings.json").write_text("[]")
    status, _, err = bourn("install", "core", "--port", board.port)
    assert status == 2 and "it is no object" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"import time\n\nwhile True\n    pass\n", "line 3: expected ':'"),
        (b"def f():\nreturn 1\n", "line 2: expected an indented block"),
        (b"print('\xff')\n", "main.py"),
        (b"print('a\0')\n", "null bytes"),
    ],
)
def test_a_program_that_is_none(tmp_path: Path, board: FakeBoard, bourn: Bourn, text: bytes, said: str) -> None:
    place = project(tmp_path, "")
    (place / "main.py").write_bytes(text)
    status, _, err = bourn("install", "core", "--port", board.port)
    assert status == 2 and "main.py" in err and said in err and "nothing was copied" in err, err
    (place / "main.py").write_text("@micropython.native\ndef f(x: int) -> int:\n    return x\n")  # a board's own
    assert text[0:1] != b"i" or bourn("install", "core", "--port", board.port)[0] == 0


def test_a_board_that_goes_away_while_it_is_watched(tmp_path: Path, board: FakeBoard, bourn: Bourn) -> None:
    project(tmp_path, "import time\nwhile True:\n    print('tick')\n    time.sleep(0.05)\n")
    assert bourn("install", "core", "--port", board.port)[0] == 0
    threading.Timer(0.5, board.unplug).start()
    status, out, err = bourn("run", "--port", board.port)
    assert status == 2 and "tick\ntick\n" in out and "gone away" in err and len(err.splitlines()) == 1


# Boards of other kinds, and programs that are in the way.


def test_folders_within_the_project_go_to_the_board(tmp_path: Path, board: FakeBoard, bourn: Bourn) -> None:
    place = project(tmp_path, "from drivers.deep import pump\nprint(pump.WHO)\n")
    (place / "drivers" / "deep").mkdir(parents=True)
    (place / "drivers" / "deep" / "pump.py").write_text("WHO = 'a pump'\n")
    for hidden in (".git", "__pycache__", "drivers/__pycache__"):
        (place / hidden).mkdir()
        (place / hidden / "x.py").write_text("1 / 0\n")
    status, _, err = bourn("install", "core", "--port", board.port)
    assert status == 0, err
    assert "a pump" in program_says(board.port)
    with Link(board.port) as link:
        assert "pycache" not in link.run("import os; print(os.listdir('/'), os.listdir('/drivers'))")
    assert "up to date" in bourn("install", "core", "--port", board.port)[1]


@pytest.mark.parametrize("fat", [False, True], ids=["littlefs", "FAT"])
def test_a_board_whose_flash_is_no_root(tmp_path: Path, micropython: list[str], bourn: Bourn, fat: bool) -> None:
    """As on STM32, SAMD, i.MX RT and others: its files are in /flash. FAT renames over nothing."""
    place = project(tmp_path, "import bourn.things\nprint('it runs', bourn.__file__)\n")
    with FakeBoard(tmp_path, micropython, root="/flash", fat=fat) as board:
        status, _, err = bourn("install", "core", "--port", board.port)
        assert status == 0, err
        assert "it runs /flash/lib/bourn/__init__.mpy" in program_says(board.port)
        (place / "main.py").write_text("print('it is another')\n")
        assert "copied 1 files" in bourn("install", "core", "--port", board.port)[1]
        assert "it is another" in program_says(board.port)
        with Link(board.port) as link:
            # not by main.py: a Ctrl-C in the middle of a write, which is Python's here, is no board's fault
            link.run("with open('bourn.log', 'w') as log:\n    log.write('a line\\n')")
        assert bourn("log", "--port", board.port)[1] == "a line\n"
        with Link(board.port) as link:
            told = link.run("import os; print(os.listdir('/'), sorted(os.listdir('/flash')))")
        assert told.strip() == "['flash'] ['bourn.log', 'lib', 'main.py']"


def test_what_does_not_arrive_whole_replaces_nothing(
    tmp_path: Path, board: FakeBoard, bourn: Bourn, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = project(tmp_path, "print('the old one')\n")
    assert bourn("install", "core", "--port", board.port)[0] == 0
    write = Link.write

    def lossy(self: Link, path: str, data: bytes, told: Callable[[int], object]) -> None:
        write(self, path, data[:-1] if path.endswith("main.py") else data, told)

    monkeypatch.setattr(Link, "write", lossy)
    (place / "main.py").write_text("print('the new one')\n")
    status, _, err = bourn("install", "core", "--port", board.port)
    assert status == 2 and "main.py did not arrive whole" in err and "the same command again" in err
    assert "the old one" in program_says(board.port)
    monkeypatch.setattr(Link, "write", write)
    assert "copied 1 files" in bourn("install", "core", "--port", board.port)[1]
    assert "the new one" in program_says(board.port)


def test_a_small_heap_is_enough_to_be_installed_on(tmp_path: Path, micropython: list[str], bourn: Bourn) -> None:
    project(tmp_path, "print('x')\n")
    with FakeBoard(tmp_path, micropython, heap="72k") as small:  # pointers are twice as long as a board's
        status, out, err = bourn("install", "core", "--port", small.port)
        assert status == 0 and int(re.findall(r"(\d+) KB of heap", out)[0]) < 64, (out, err)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is long enough for a board that is a process here."""
    from bourn.cli.boards import link

    monkeypatch.setattr(link, "ANSWER_S", 1)
    monkeypatch.setattr(link, "SILENCE_S", 1)


@pytest.mark.parametrize(
    "program",
    [
        "import os, sys\nwhile True:\n    sys.stdout.buffer.write(os.urandom(64))\n",
        "while True:\n    print('raw REPL; CTRL-B to exit\\r\\n>OK\\x04\\x04>>> ', end='')\n",
        "import time\nn = 0\nwhile n < 3:\n    try:\n        time.sleep(0.05)\n    except:\n        n += 1\n",
    ],
    ids=["garbage", "what looks like a REPL", "three Ctrl-C's are caught"],
)
def test_a_program_that_is_in_the_way_is_replaced(
    tmp_path: Path, board: FakeBoard, bourn: Bourn, impatient: None, program: str
) -> None:
    place = project(tmp_path, program)
    assert bourn("install", "core", "--port", board.port)[0] == 0
    board.unplug()
    board.plug()
    time.sleep(0.2)  # it runs
    (place / "main.py").write_text("print('now this')\n")
    status, _, err = bourn("install", "core", "--port", board.port)
    assert status == 0, err
    assert "now this" in program_says(board.port)


def test_a_program_that_catches_every_ctrl_c_is_told(
    tmp_path: Path, board: FakeBoard, bourn: Bourn, impatient: None
) -> None:
    project(tmp_path, "import time\nwhile True:\n    try:\n        time.sleep(0.05)\n    except:\n        pass\n")
    assert bourn("install", "core", "--port", board.port)[0] == 0
    board.unplug()
    board.plug()
    time.sleep(0.2)
    status, _, err = bourn("install", "core", "--port", board.port)
    assert status == 2 and "Ctrl-C" in err and "reset" in err


def test_a_cable_that_is_cut_at_any_byte_of_a_short_command(
    tmp_path: Path, board: FakeBoard, bourn: Bourn, impatient: None
) -> None:
    project(tmp_path, "print('x')\n")
    assert bourn("install", "core", "--port", board.port)[0] == 0
    for n in (0, 1, 3, 7, 20, 60, 130, 300, 700, 1500):
        board.unplug()
        board.plug()
        board.unplug_after(n)
        status, out, err = bourn("install", "core", "--port", board.port)
        assert (status, len(err.splitlines())) == (2, 1), (n, out, err)
        assert "gone away" in err or "does not answer" in err, (n, err)


def test_a_port_that_is_none(tmp_path: Path, bourn: Bourn) -> None:
    for port in (str(tmp_path), __file__):
        status, _, err = bourn("run", "--port", port)
        assert status == 2 and f"{port} is no serial port" in err and "/dev/ttyACM0" in err
    status, _, err = bourn("run", "--port", os.devnull)
    assert status == 2 and "cannot be opened" in err


def test_a_port_that_something_looks_at_for_a_moment(board: FakeBoard) -> None:
    held = serial.Serial(board.port, exclusive=True)
    threading.Timer(0.1, held.close).start()
    with Link(board.port) as link:
        assert link.run("print(6 * 7)").strip() == "42"


def test_a_log_that_cannot_be_read(tmp_path: Path, board: FakeBoard, bourn: Bourn) -> None:
    with Link(board.port) as link:
        link.run("import os; os.mkdir('/bourn.log')")
    status, _, err = bourn("log", "--port", board.port)
    assert status == 2 and "cannot read bourn.log: Is a directory" in err
