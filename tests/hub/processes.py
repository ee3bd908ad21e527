"""The command `bourn` in processes of its own, as a user starts it; nothing of it outlives a test."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
from invariant import check_journal

from bourn.cli.processes import find_micropython

SOURCE = Path(__file__).resolve().parent.parent.parent / "src"
BOURN = [sys.executable, "-m", "bourn.cli"]
LONGEST = ("--for", "15m")  # so that nothing goes on for ever where the tests themselves were killed
LIMIT_S = 60  # of anything that is waited for; on a loaded machine a start takes seconds


def until(what: Callable[[], Any], why: str, limit_s: float = LIMIT_S) -> Any:
    """The first true value of `what()`; an AssertionError saying `why` when there is none in time."""
    end = time.monotonic() + limit_s
    while not (value := what()):
        assert time.monotonic() < end, f"not within {limit_s:.0f} s: {why}"
        time.sleep(0.01)
    return value


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that nobody has waited for yet does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Program:
    """A running command in a session of its own; what it says is in `out` and `err`, line by line."""

    def __init__(self, *command: str, cwd: Path, **options: Any) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "100", **options.pop("env", {})}
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._family: dict[int, psutil.Process] = {}
        self.memory: set[str] = set()  # files of shared memory that any of it was seen with
        self._readers = [
            threading.Thread(target=self._read, args=pipe, daemon=True)
            for pipe in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if any(error):
            print(f"-- {' '.join(self.process.args)}: status {self.process.poll()}", *self.out, *self.err, sep="\n")
        self.remember()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for one in self._family.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                if alive(one):
                    one.kill()
        for reader in self._readers:
            reader.join(LIMIT_S)

    def remember(self) -> list[psutil.Process]:
        """All processes that it has started up to now and that are still there."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self._family.setdefault(child.pid, child)
        for pid in (self.process.pid, *self._family):
            with contextlib.suppress(OSError):
                self.memory |= set(re.findall(r"/dev/shm/\S+", Path(f"/proc/{pid}/maps").read_text()))
        return [child for child in self._family.values() if alive(child)]

    def said(self, pattern: str, limit_s: float = LIMIT_S) -> re.Match[str]:
        """Wait for a line that holds the pattern; its match."""

        def look() -> re.Match[str] | None:
            found = [match for line in list(self.out) if (match := re.search(pattern, line))]
            if not found:
                assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.out} {self.err}"
            return found[0] if found else None

        match: re.Match[str] = until(look, f"{pattern!r} in {self.out} {self.err}", limit_s)
        return match

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """As the terminal does it: to the whole group in the foreground."""
        self.remember()
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """kill -9, of it alone."""
        self.remember()
        self.process.kill()
        self.process.wait(LIMIT_S)

    def ended(self, limit_s: float = LIMIT_S) -> int:
        """Wait for its end; its status."""
        try:
            status = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {limit_s:.0f} s; it said {self.out} {self.err}") from None
        for reader in self._readers:
            reader.join(limit_s)
        return status

    @staticmethod
    def _read(pipe: Any, lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.rstrip("\n"))
        pipe.close()


def hub(folder: Path, *options: str, listen: str = "tcp://127.0.0.1:0") -> Program:
    """`bourn hub` over `folder`/j.db; `url_of` waits until it lets sensors in."""
    return Program(*BOURN, "hub", "--listen", listen, "--journal", "j.db", *LONGEST, *options, cwd=folder)


def sensors(folder: Path, url: str, *options: str) -> Program:
    """`bourn sensors` for a hub at `url`."""
    return Program(*BOURN, "sensors", "--hub", url, *LONGEST, *options, cwd=folder)


def node(folder: Path, settings: dict[str, Any], interpreter: str | None = None) -> Program:
    """A sensor's process as `bourn sensors` starts it; `finish` ends it in order."""
    environment = {"MICROPYPATH": f"{SOURCE}:.frozen", "PYTHONPATH": str(SOURCE)}
    command = [interpreter or sys.executable, "-m", "bourn.device.node", json.dumps(settings)]
    return Program(*command, cwd=folder, stdin=subprocess.PIPE, env=environment)


def finish(node: Program) -> dict[str, Any]:
    """Let a node drain and end; its report."""
    assert node.process.stdin is not None
    node.process.stdin.close()
    assert node.ended() == 0, node.err
    report: dict[str, Any] = json.loads(node.out[-1])
    return report


def url_of(program: Program) -> str:
    """The address that a hub says it listens at; by then it does."""
    return program.said(r"^hub +(t(?:cp|ls)://\S+)")[1]


def totals(program: Program) -> dict[str, int]:
    """The numbers of the closing lines: sent, acknowledged, stored, known, waiting."""
    text = "\n".join(program.out)
    patterns = {
        "sent": r"sent (\d+)",
        "acknowledged": r"acknowledged (\d+)",
        "stored": r"stored (\d+)",
        "known": r"the hub had (\d+)",
        "waiting": r"(\d+) readings? waits?",
    }
    found = {name: re.findall(pattern, text) for name, pattern in patterns.items()}
    return {name: int(numbers[-1]) for name, numbers in found.items() if numbers}


def query(folder: Path, text: str, journal: str = "j.db") -> list[Any]:
    """What a query of the journal gives, also while a hub writes it."""
    with contextlib.closing(sqlite3.connect(f"file:{folder / journal}?mode=ro", uri=True, timeout=LIMIT_S)) as db:
        return db.execute(text).fetchall()


def stored_of(folder: Path, journal: str = "j.db") -> dict[str, int]:
    """How many readings are stored of each source; nothing where there is no journal yet."""
    try:
        return dict(
            query(
                folder,
                "SELECT source, count(*) FROM reading JOIN stream ON stream.id = stream GROUP BY source",
                journal,
            )
        )
    except sqlite3.OperationalError:
        return {}


def count(folder: Path, journal: str = "j.db") -> int:
    """How many readings are stored; 0 where there is no journal yet."""
    return sum(stored_of(folder, journal).values())


def check_complete(folder: Path, journal: str = "j.db") -> dict[tuple[str, str], int]:
    """Every epoch of every source is there from 1 on, without hole or duplicate; how many of each."""
    check_journal(folder / journal)
    lasts = {}
    for source, epoch, first, last, rows, different in query(
        folder,
        "SELECT source, epoch, min(seq), max(seq), count(*), count(DISTINCT seq) FROM reading "
        "JOIN stream ON stream.id = reading.stream GROUP BY stream.id",
        journal,
    ):
        assert (first, last, rows, different) == (1, rows, rows, rows), f"{source}:{epoch} has holes or duplicates"
        lasts[source, epoch] = rows
    assert query(folder, "SELECT count(*) FROM gap", journal) == [(0,)]
    assert query(folder, "SELECT count(*) FROM quarantine", journal) == [(0,)]
    unordered = (
        "SELECT count(*) FROM reading a, reading b WHERE b.pos = a.pos + 1 AND a.stream = b.stream AND a.seq >= b.seq"
    )
    assert query(folder, unordered, journal) == [(0,)]
    return lasts


def csv_ids(path: Path) -> list[str]:
    """The ids in a CSV file, each line of which is whole."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = file.read().split("\r\n")
    assert lines[0] == "id,time,sensor,value"
    assert lines[-1] == "", "a torn last line"
    return [line.split(",")[0] for line in lines[1:-1]]


def journal_ids(folder: Path, journal: str = "j.db") -> list[str]:
    """The ids in the journal, in its order."""
    return [row[0] for row in query(folder, "SELECT id FROM readings ORDER BY pos", journal)]


def micropython() -> str:
    """The MicroPython interpreter; the test is left out where there is none, in CI it fails."""
    path = find_micropython()
    if path is None and os.environ.get("CI") == "true":
        pytest.fail("CI needs a MicroPython: make tools")
    return path or pytest.skip("there is no MicroPython here: make tools")


@contextlib.contextmanager
def nothing_left(program: Program) -> Iterator[None]:
    """After the block neither a process of `program` nor a listening socket nor shared memory of its is left."""
    yield
    left = program.remember()
    assert not left, f"still running: {[one.cmdline() for one in left]}"
    assert not [path for path in program.memory if os.path.exists(path)]
