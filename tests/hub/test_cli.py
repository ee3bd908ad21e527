"""The command: what cannot be is told in one line with a remedy and status 2; what was stored can be read back."""

import contextlib
import csv
import datetime
import io
import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer
from processes import BOURN, LIMIT_S, LONGEST, SOURCE, Program, count, csv_ids, hub, sensors, totals, until, url_of

from bourn import __version__, cli
from bourn.cli import help as looks
from bourn.cli.config import parse_duration
from bourn.spool.sqlite import SqliteSpool

EPOCH = "0123456789abcdef"


class Result:
    """What a command said, and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


@pytest.fixture
def bourn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Result:
        with pytest.raises(SystemExit) as e:
            cli.main(list(arguments))
        said = capfd.readouterr()
        return Result(int(e.value.code or 0), said.out, said.err)

    return run


# what is asked for: what the line has to name (the remedy, or where to look)
IMPOSSIBLE: dict[str, tuple[str, ...]] = {
    # options
    "run --sensor 5": ("--sensor", "bourn run --help"),
    "run --num-sensors": ("--num-sensors", "--help"),
    "run --num-sensors five": ("--num-sensors", "integer", "bourn run --help"),
    "run --num-sensors 0": ("--num-sensors", "1", "bourn run --help"),
    "run --num-sensors -3": ("--num-sensors", "1", "bourn run --help"),
    "run --in-flight 0": ("--in-flight", "1", "bourn run --help"),
    "run --network-in-flight 0": ("--network-in-flight", "1", "bourn run --help"),
    "run --port 99999": ("--port", "65535", "bourn run --help"),
    "run please": ("please", "bourn run --help"),
    "walk": ("walk", "bourn --help"),
    "--journal x": ("--journal", "bourn --help"),
    "read --since": ("--since", "--help"),
    "run --every soon": ("--every", "soon", "500ms"),
    "run --every 0": ("--every", "500ms"),
    "run --every -1": ("--every", "500ms"),
    "run --every nan": ("--every", "500ms"),
    "run --every inf": ("--every", "500ms"),
    "run --every 0.0001": ("--every", "1ms"),
    "run --for ever": ("--for", "ever", "30s"),
    "run --for 0": ("--for", "30s"),
    "hub --for 5y": ("--for", "30s"),
    "run --connection pigeon": ("pigeon", "socket", "shared-memory"),
    "run --connection-type queue --sensors-as processes --micropython mp": ("queue", "multiprocessing", "pipe"),
    "run --connection queue --sensors-as boats": ("boats", "threads"),
    "run --connection shared_memory --micropython no-program": ("MicroPython", "unix", "--micropython"),
    "run --sensors-as threads --micropython no-program": ("MicroPython", "processes"),
    "run --connection pipe --port 7007": ("--port", "socket"),
    "hub --listen queue:hub": ("queue:hub", "unix:PATH"),
    "hub --listen pipe:": ("pipe:", "unix:PATH"),
    "hub --listen unix:": ("unix:bourn.sock",),
    "hub --listen unix:text": ("unix:text", "no socket"),
    "hub --listen shm:no/such/folder.sock": ("no/such/folder.sock", "folder"),
    "sensors --hub pipe:3": ("pipe:3", "unix:PATH"),
    "sensors --hub queue:hub": ("queue:hub", "unix:PATH"),
    "sensors --hub shm:x --micropython no-program": ("MicroPython", "unix:PATH"),
    # addresses
    "run --web 8080": ("--web", "127.0.0.1:8080"),
    "run --web 127.0.0.1:http": ("--web", "127.0.0.1:8080"),
    "run --web 127.0.0.1:99999": ("--web", "127.0.0.1:8080"),
    "run --web 0.0.0.0:8080": ("--web", "--insecure"),
    "hub --web 0.0.0.0:8080": ("--web", "--insecure"),
    "hub --listen 7007": ("7007", "tcp://127.0.0.1:7007"),
    "hub --listen udp://127.0.0.1:7007": ("udp", "tcp"),
    "hub --listen tcp://127.0.0.1": ("tcp://127.0.0.1:7007",),
    "hub --listen tcp://127.0.0.1:99999": ("tcp://127.0.0.1:7007",),
    "hub --listen tcp://0.0.0.0:7007": ("127.0.0.1", "--insecure"),
    "hub --listen tcp://[::]:7007": ("127.0.0.1", "--insecure"),
    "hub --listen tcp://192.0.2.7:7007 --insecure": ("192.0.2.7", "choose another"),
    "hub --listen tcp://no.such.host.invalid:7007 --insecure": ("no.such.host.invalid", "choose another"),
    "sensors --hub 7007": ("7007", "tcp://127.0.0.1:7007"),
    "sensors --hub tcp://127.0.0.1:0": ("tcp://127.0.0.1:7007",),
    "sensors --hub http://127.0.0.1:80": ("tcp://127.0.0.1:7007",),
    "run --port {taken}": ("{taken}", "another port", "0"),
    "hub --listen tcp://127.0.0.1:{taken}": ("{taken}", "another port", "0"),
    "run --web 127.0.0.1:{taken}": ("{taken}", "another port", "0"),
    # files
    "run --journal no/such/folder.db": ("no/such/folder.db", "--journal"),
    "run --journal folder": ("folder", "--journal"),
    "run --journal text": ("text", "--journal"),
    "hub --journal other.db": ("other.db", "--journal"),
    "hub --journal newer.db": ("newer.db", "update"),
    "hub --journal locked.db": ("locked.db", "another hub", "--journal"),
    "run --journal /proc/no.db": ("/proc/no.db", "--journal"),
    "run --csv-file no/such/folder.csv": ("no/such/folder.csv", "choose another"),
    "run --csv-file folder": ("folder", "choose another"),
    "run --csv-file /dev/full": ("/dev/full", "choose another"),
    "run --to csv:no/such/folder.csv": ("no/such/folder.csv", "choose another"),
    "run --outbox text": ("text", "--outbox"),
    "run --outbox /proc/no": ("/proc/no", "--outbox"),
    "sensors --outbox text": ("text", "--outbox"),
    "sensors --keys no-file": ("--keys no-file", "bourn keys add s1 --out no-file"),
    "run --to sqlight:x.db": ("sqlight:x.db", "csv:PATH", "memory:", "screen:"),
    "hub --to nothing": ("nothing", "csv:PATH"),
    "hub --to csv:": ("csv:", "csv:PATH"),
    # the interpreter
    "run --micropython no/such/program": ("--micropython", "auto"),
    "run --micropython text": ("--micropython", "auto"),
    "run --micropython folder": ("--micropython", "auto"),
    "run --micropython no-program": ("no-program", "--micropython"),
    # reading
    "read": ("bourn.db", "--journal"),
    "read missing.db": ("missing.db", "--journal"),
    "read text": ("text", "journal"),
    "read folder": ("folder", "journal"),
    "read other.db": ("other.db", "journal"),
    "read good.db --format xml": ("xml", "jsonl"),
    "read good.db --since yesterday": ("--since", "yesterday", "5m"),
    "read good.db --until 2026-31-31": ("--until", "2026-31-31", "2026-01-31"),
    "read good.db bad.db": ("bad.db", "bourn read --help"),
}  # fmt: skip

SHOULD_IT_RUN = ("run --micropython", "run --every 0.0001")  # then not for ever

STARTED = {
    "--journal",
    "--csv-file",
    "csv:no/such/folder.csv",
    "--outbox",
    "--micropython",
}

CONFIGS = {
    "missing": (None, ("cannot be read", "--config")),
    "broken": ("[[sensor]\nname = 's'", ("docs/config.md",)),
    "latin": ("# caf\udce9", ("c.toml", "UTF-8")),
    "empty": ("", ("sensor", "docs/config.md")),
    "none": ("sensor = []", ("[[sensor]]",)),
    "a table for a list": ("[sensor]\nname = 's'", ("docs/config.md",)),
    "no name": ("[[sensor]]\nkind = 'random'", ("name", "docs/config.md")),
    "a kind there is not": ("[[sensor]]\nname = 's'\nkind = 'rnadom'", ("rnadom", "random", "wave")),
    "a field there is not": ("[[sensor]]\nname = 's'\nperiod = 5", ("period", "docs/config.md")),
    "a name that is none": ("[[sensor]]\nname = '../s'", ("../s", "A-Z")),
    "one name twice": ("[[sensor]]\nname = 's'\n[[sensor]]\nname = 's'", ("'s'", "rename")),
    "a time that is none": ("[[sensor]]\nname = 's'\nevery = 'soon'", ("soon", "500ms")),
    "a time of nothing": ("[[sensor]]\nname = 's'\nevery = 0", ("sensor s", "500ms")),
    "a time below nothing": ("[[sensor]]\nname = 's'\nevery = -5", ("sensor s", "500ms")),
    "a time too short": ("[[sensor]]\nname = 's'\nevery = 0.0001", ("sensor s", "1ms")),
    "options that are none": ("[[sensor]]\nname = 's'\noptions = 5", ("options", "docs/config.md")),
}


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Everything that the commands above name: a taken port, a text, a folder, good and bad journals."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "text").write_text("a text\n" * 500)
        (tmp_path / "folder").mkdir()
        (tmp_path / "no-program").write_text("neither a script nor a binary")
        (tmp_path / "no-program").chmod(0o755)
        make_journal(tmp_path / "good.db", [1])
        for name, script in (
            ("other.db", "CREATE TABLE meta (x); PRAGMA user_version = 1;"),
            ("newer.db", "CREATE TABLE meta (x); PRAGMA user_version = 99;"),
        ):
            with contextlib.closing(sqlite3.connect(tmp_path / name)) as db:
                db.executescript(script)
        locked = SqliteSpool(str(tmp_path / "locked.db"))
        yield {"taken": str(server.getsockname()[1])}
        locked.close()


def left_behind() -> dict[str, Any]:
    """What a command must not leave: threads, children, listening sockets, open files."""
    me = psutil.Process()
    return {
        "threads": {t.name for t in threading.enumerate()},
        "children": {child.pid for child in me.children(recursive=True)},
        "sockets": {c.laddr for c in me.net_connections() if c.status == psutil.CONN_LISTEN},
        "files": {file.path for file in me.open_files()},
    }


def one_line(result: Result, *words: str) -> None:
    assert result.status == 2, (result.out, result.err)
    assert result.err.count("\n") == 1 and result.err.endswith("\n"), result.err
    assert result.err.startswith("bourn: ") and len(result.err) < 400
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err, f"{word!r} is not in: {result.err}"


@pytest.mark.parametrize("asked", IMPOSSIBLE)
def test_what_cannot_be_is_one_line_with_a_remedy(
    bourn: Callable[..., Result], tmp_path: Path, surroundings: dict[str, str], asked: str
) -> None:
    words, before, files = IMPOSSIBLE[asked], left_behind(), set(os.listdir(tmp_path))
    asked = asked.format(**surroundings)
    result = bourn(*asked.split(), *(("--for", "1") if asked.startswith(SHOULD_IT_RUN) else ()))
    one_line(result, *[word.format(**surroundings) for word in words])
    assert left_behind() == before
    new = set(os.listdir(tmp_path)) - files
    assert all(name.startswith("bourn.") or name.endswith((".lock", "-shm", "-wal")) for name in new), new
    if not set(asked.split()) & STARTED:
        assert not new, "the options were wrong, so nothing was begun"


@pytest.mark.parametrize("what", CONFIGS)
@pytest.mark.parametrize("command", ["run", "sensors"])
def test_a_wrong_configuration_is_one_line(
    bourn: Callable[..., Result], tmp_path: Path, command: str, what: str
) -> None:
    text, words = CONFIGS[what]
    if text is not None:
        (tmp_path / "c.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    one_line(bourn(command, "--config", "c.toml", "--for", "1"), "c.toml", *words)
    assert set(os.listdir(tmp_path)) <= {"c.toml"}, "nothing was begun"


def test_a_sensor_that_cannot_be_ends_all_with_its_reason(bourn: Callable[..., Result], tmp_path: Path) -> None:
    """What only the sensor's own process can find out: here, that its outbox is no folder."""
    (tmp_path / "bourn.outbox").mkdir()
    (tmp_path / "bourn.outbox" / "s2").write_text("in the way")
    before = left_behind()
    result = bourn("run", "--num-sensors", "3", "--micropython", "none", "--for", "60")
    one_line(result, "sensor s2", "bourn.outbox/s2")
    assert left_behind() == before


def test_one_line_also_from_the_real_command(tmp_path: Path, surroundings: dict[str, str]) -> None:
    for arguments in (["run", "--port", surroundings["taken"]], ["run", "--csv-file", "folder"], ["walk"]):
        done = subprocess.run(
            [*BOURN, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        one_line(Result(done.returncode, done.stdout, done.stderr))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(bourn: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    one_line(bourn("run", "--journal", "locked/j.db"), "--journal")
    one_line(bourn("run", "--csv-file", "locked/a.csv"), "locked/a.csv")
    one_line(bourn("run", "--outbox", "locked"), "--outbox")


# -- options as people write them


def test_every_command_has_help_with_an_example(bourn: Callable[..., Result]) -> None:
    whole = bourn("--help")
    assert whole.status == 0
    for command in ("run", "hub", "sensors", "read"):
        assert re.search(rf"\b{command}\b", whole.out)
        for option in ("--help", "-h"):
            result = bourn(command, option)
            assert result.status == 0
            assert f"Example: bourn {command} " in " ".join(result.out.split())
        short = bourn(command, "-x")
        one_line(short, f"bourn {command} --help")


def commands(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *words, name)


def test_the_help_fits_a_narrow_terminal_in_groups_with_a_word_for_what_is_taken(
    bourn: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    whole = typer.main.get_command(cli.app)
    named = {name for names in looks.COMMANDS.values() for name in names}
    assert named == set(whole.commands)
    known = set()
    for words, command in commands(whole):
        shown = bourn(*words, "--help").out
        assert max(map(len, shown.splitlines())) <= 80, words
        assert not re.search(r"<\w+|\[x?[<>=]|\[\d+<=", shown), "a word, no name of a type, and no range"
        assert "…" not in shown, words
        known |= {looks._name(param) for param in command.params}
    for table in (looks.WORDS, looks.GROUPS, looks.RECORD_GROUPS):
        assert set(" ".join(table.values()).split()) <= known, "names of options that there are"
    shown = bourn("run", "--help").out
    places = [shown.index(word) for word in ("--every", *looks.GROUPS)]
    assert places == sorted(places)


def test_examples_of_the_help_are_options_there_are(bourn: Callable[..., Result]) -> None:
    for command in ("run", "hub", "sensors", "read"):
        text = " ".join(bourn(command, "--help").out.split())
        example = text.split("Example: bourn ")[1]
        known = set(re.findall(r"--[a-z][a-z-]+", text.split("Example: ")[0]))
        assert set(re.findall(r"--[a-z][a-z-]+", example)) <= known


def test_without_a_command_there_is_help(tmp_path: Path) -> None:
    done = subprocess.run(BOURN, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert "Usage" in done.stdout + done.stderr and "sensors" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_version(bourn: Callable[..., Result]) -> None:
    result = bourn("--version")
    assert (result.status, result.out, result.err) == (0, f"bourn {__version__}\n", "")


@pytest.mark.parametrize(
    "options",
    [
        "--num-sensors 2 --network-in-flight 3 --csv-file a.csv --log-to-screen --connection socket",
        "--num_sensors 2 --network_in_flight 3 --csv_file a.csv --log_to_screen --connection_type socket",
        "--num_sensors=2 --network-in-flight=3 --csv_file=a.csv --log_to-screen --connection-type=socket --to memory:",
    ],
)
def test_options_with_lines_and_underscores(tmp_path: Path, options: str) -> None:
    command = [*BOURN, "run", *LONGEST, "--every", "50ms", "--micropython", "none", *options.split()]
    with Program(*command, cwd=tmp_path) as running:
        running.said(r"^\d\d:\d\d:\d\d\.\d{3}  s1 ")
        running.said(r"^\d\d:\d\d:\d\d\.\d{3}  s2 ")
        running.interrupt()
        assert running.ended() == 0, running.err
    numbers = totals(running)
    assert numbers["sent"] == numbers["acknowledged"] == numbers["stored"] > 0
    assert "sensors  2, each in a process of its own" in running.out
    assert len(csv_ids(tmp_path / "a.csv")) == numbers["stored"]
    shown = [line for line in running.out if re.match(r"\d\d:\d\d:\d\d\.\d{3}  s\d ", line)]
    assert len(shown) == numbers["stored"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), ("0.5", 0.5), ("500ms", 0.5), ("5s", 5), (" 2m ", 120), ("1h", 3600), ("1d", 86400), ("1e3", 1000)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "ms", "5 5", "-1", "0", "1e99", "nan", "inf", "5x", "five"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="500ms"):
        parse_duration(text)


# -- reading back

VALUES = [5, -0.5, [1, [2, 3]], "text, with a comma", None, {"a": "é"}, True]
T0 = 1_790_000_000_000


def make_journal(path: Path, values: list[Any], t0: int = T0, step: int = 1000) -> None:
    """A journal with one reading a second of the sensors a and b in turn."""
    spool = SqliteSpool(str(path))
    spool.take(spool.stream("s", EPOCH), [(i + 1, "ab"[i % 2], t0 + i * step, value) for i, value in enumerate(values)])
    spool.close()


def test_a_terminal_without_unicode_shows_what_it_can_and_files_hold_all(tmp_path: Path) -> None:
    make_journal(tmp_path / "j.db", ["é"])
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}

    def said(*words: str) -> str:
        done = subprocess.run([*BOURN, *words], cwd=tmp_path, env=env, capture_output=True, timeout=LIMIT_S, check=True)
        return done.stdout.decode()

    assert "?" in said("read", "j.db")
    assert "é" in said("read", "j.db", "--format", "csv")
    assert json.loads(said("read", "j.db", "--format", "jsonl"))["value"] == "é"
    assert "wake-ups" in said("plan", "30s", "45s")


def test_reading_as_json_lines(bourn: Callable[..., Result], tmp_path: Path) -> None:
    make_journal(tmp_path / "j.db", VALUES)
    result = bourn("read", "j.db", "--format", "jsonl")
    assert (result.status, result.err) == (0, "")
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [row["value"] for row in rows] == VALUES
    assert rows[0] == {"id": f"s:{EPOCH}:1", "time": "2026-09-21T14:13:20.000Z", "sensor": "a", "value": 5}
    assert '"é"' in result.out


def test_reading_as_csv(bourn: Callable[..., Result], tmp_path: Path) -> None:
    make_journal(tmp_path / "j.db", VALUES)
    result = bourn("read", "j.db", "--format", "csv")
    rows = list(csv.reader(io.StringIO(result.out)))
    assert rows[0] == ["id", "time", "sensor", "value"]
    assert rows[1] == [f"s:{EPOCH}:1", "2026-09-21T14:13:20.000Z", "a", "5"]
    assert [json.loads(row[3]) for row in rows[1:]] == VALUES


def test_reading_as_a_table(bourn: Callable[..., Result], tmp_path: Path) -> None:
    make_journal(tmp_path / "j.db", VALUES)
    result = bourn("read", "j.db")
    lines = result.out.splitlines()
    local = datetime.datetime.fromtimestamp(T0 / 1000)
    assert lines[0].split() == ["TIME", "SENSOR", "VALUE", "ID"]
    assert lines[1].split() == [*local.isoformat(sep=" ", timespec="milliseconds").split(), "a", "5", f"s:{EPOCH}:1"]
    assert len(lines) == 1 + len(VALUES)
    assert "[1, [2, 3]]" in lines[3]
    SqliteSpool(str(tmp_path / "empty.db")).close()
    assert bourn("read", "empty.db").out == "no readings\n"


def test_reading_between_bounds(bourn: Callable[..., Result], tmp_path: Path) -> None:
    now = int(time.time() * 1000)
    make_journal(tmp_path / "j.db", list(range(60)), now - 60 * 60_000, 60_000)  # one a minute, for an hour

    def values(*options: str) -> list[int]:
        return [
            json.loads(line)["value"] for line in bourn("read", "j.db", "--format", "jsonl", *options).out.splitlines()
        ]

    assert values() == list(range(60))
    assert values("--sensor", "b") == list(range(1, 60, 2))
    assert values("--since", "5m") in ([55, 56, 57, 58, 59], [56, 57, 58, 59])
    assert values("--until", "55m") in ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5])
    assert values("--since", "1d") == list(range(60))
    moment = datetime.datetime.fromtimestamp((now - 60 * 60_000 + 30 * 60_000) / 1000)
    assert values("--since", moment.isoformat()) == list(range(30, 60))
    assert values("--until", moment.isoformat(), "--since", "1d") == list(range(30))
    utc = moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    assert values("--since", utc) == list(range(30, 60)), "with its own zone"
    assert values("--since", "2099-01-01") == []


def test_reading_into_a_pipe_that_closes(tmp_path: Path) -> None:
    make_journal(tmp_path / "j.db", list(range(50_000)))
    command = " ".join([*BOURN, "read", "j.db", "--format", "csv", "|", "head", "-3"])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("format", ["table", "csv", "jsonl"])
def test_reading_while_the_hub_writes(tmp_path: Path, format: str) -> None:
    with hub(tmp_path) as running:
        options = ("--num-sensors", "2", "--every", "0.005", "--micropython", "none")
        with sensors(tmp_path, url_of(running), *options) as two:
            seen = 0
            for _ in range(3):
                until(lambda: count(tmp_path) > seen, "readings come")
                with Program(*BOURN, "read", "j.db", "--format", format, cwd=tmp_path) as reading:
                    assert reading.ended() == 0, reading.err
                    assert not reading.err
                lines = reading.out if format == "jsonl" else reading.out[1:]
                assert len(lines) > seen
                seen = len(lines)
            two.interrupt()
            assert two.ended() == 0
        running.interrupt()
        assert running.ended() == 0
    assert count(tmp_path) >= seen


def test_reading_a_closed_journal_leaves_no_file_behind(bourn: Callable[..., Result], tmp_path: Path) -> None:
    spool = SqliteSpool(str(tmp_path / "bourn.db"))
    spool.append(("s1", EPOCH, 1, "s1", 1000, 5))
    spool.close()
    before = sorted(os.listdir(tmp_path))
    assert "s1" in bourn("read", "bourn.db").out
    assert sorted(os.listdir(tmp_path)) == before == ["bourn.db", "bourn.db.lock"]


def test_reading_what_a_killed_hub_left_loses_nothing(bourn: Callable[..., Result], tmp_path: Path) -> None:
    with hub(tmp_path) as program:
        url = url_of(program)
        with sensors(tmp_path, url, "--num-sensors", "1", "--every", "0.05", "--micropython", "none"):
            until(lambda: count(tmp_path) > 10, "readings")
            program.kill()
    stored = count(tmp_path)
    assert len(bourn("read", "j.db", "--format", "jsonl").out.splitlines()) == stored
    assert count(tmp_path) == stored


def test_a_long_export_shows_progress_where_it_disturbs_nobody(tmp_path: Path) -> None:
    spool = SqliteSpool(str(tmp_path / "bourn.db"))
    stream = spool.stream("s1", EPOCH)
    for at in range(1, 60_001, 2000):
        spool.take(stream, [(i, "s1", 1000 * i, i) for i in range(at, at + 2000)])
        spool.sync()
    spool.close()
    master, slave = pty.openpty()
    command = [*BOURN, "read", "bourn.db", "--format", "csv"]
    told = b""
    with open(tmp_path / "out.csv", "wb") as out:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=slave, env={**os.environ, "TERM": "xterm"})
        os.close(slave)
        with contextlib.suppress(OSError):  # EIO: its other end is closed
            while got := os.read(master, 4096):
                told += got
        assert process.wait(LIMIT_S) == 0
    os.close(master)
    assert b"reading bourn.db" in told and b"%" in told
    plain = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=LIMIT_S, check=True)
    assert plain.stderr == b""
    assert (tmp_path / "out.csv").read_bytes() == plain.stdout
    assert plain.stdout.count(b"\n") == 60_001


def test_ctrl_c_while_it_loads_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time\nopen('loading', 'w').close()\ntime.sleep(60)\n")
    path = os.pathsep.join([str(tmp_path), str(SOURCE)])
    process = subprocess.Popen(
        [sys.executable, "-m", "bourn", "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
    )
    until((tmp_path / "loading").exists, "it loads")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=LIMIT_S)[1] == b""
    assert process.returncode == -signal.SIGINT
