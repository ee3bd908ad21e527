"""Long work says how far it is: a bar on a terminal, a line now and then elsewhere; and it can be ended."""

import contextlib
import io
import re
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest
from processes import BOURN, LIMIT_S, hub, query, until, url_of
from test_retention import old_journal
from test_top import Terminal

from bourn.cli.progress import LINE_S, Progress, Stopped
from bourn.spool.sqlite import SqliteSpool

LONG = 40_000_000_000  # places between two readings of an old journal: counting them takes seconds


class Seconds:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_where_nobody_looks_there_is_a_line_now_and_then() -> None:
    clock, told = Seconds(), io.StringIO()
    with Progress(clock=clock, on=told) as say:
        say("j.db: from format 1 to 2 ...")
        for tenth in range(101):
            clock.now = tenth / 10
            say("j.db: counting its readings", tenth * 1000, 100_000)
        say("j.db: format 2 now, 90,000 readings")
        say("looking", 0, 0)
        clock.now += LINE_S
        say("looking", 1, 0)
    assert told.getvalue().splitlines() == [
        "bourn: j.db: from format 1 to 2 ...",
        "bourn: j.db: counting its readings: 30 %, 30,000 of 100,000, 7 s left",
        "bourn: j.db: counting its readings: 60 %, 60,000 of 100,000, 4 s left",
        "bourn: j.db: counting its readings: 90 %, 90,000 of 100,000, 1 s left",
        "bourn: j.db: format 2 now, 90,000 readings",
        "bourn: looking: since 3 s",
    ]


def test_what_is_over_in_a_moment_says_nothing_and_whoever_stops_it_is_obeyed() -> None:
    told, stopped = io.StringIO(), False
    with Progress(lambda: stopped, Seconds(), told) as say:
        for done in range(10):
            say("reading j.db", done, 10)
        stopped = True
        with pytest.raises(Stopped):
            say("reading j.db", 10, 10)
    assert told.getvalue() == ""


def long_journal(folder: Path) -> None:
    old_journal(str(folder / "j.db"), 100)
    with contextlib.closing(sqlite3.connect(folder / "j.db")) as db:
        db.execute("UPDATE reading SET pos = ? WHERE pos = 100", (LONG,))
        db.execute("UPDATE meta SET value = ? WHERE key = 'pos'", (LONG,))
        db.commit()


def test_a_migration_shows_a_bar_and_ctrl_c_ends_it_with_the_journal_as_it_was(tmp_path: Path) -> None:
    long_journal(tmp_path)
    command = [*BOURN, "hub", "--listen", "tcp://127.0.0.1:0", "--journal", "j.db", "--no-web"]
    terminal = Terminal(*command, cwd=tmp_path, size=(24, 120))
    terminal.shows(r"from format 1 to 2")
    terminal.shows(r"counting its readings.*━.* \d+%.* of 40,000,000,000.*\d:\d\d")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.ended() == 0
    assert "Traceback" not in terminal.text and "hub      tcp" not in terminal.text
    assert query(tmp_path, "PRAGMA user_version") == [(1,)]
    with hub(tmp_path, "--no-web") as program:  # and the next start does it
        assert url_of(program)
        assert [line for line in program.err if "format 2 now, 100 readings" in line]
        assert query(tmp_path, "SELECT count(*) FROM reading") == [(100,)]
        program.interrupt()
        assert program.ended() == 0


def test_a_replay_can_be_watched(tmp_path: Path) -> None:
    spool = SqliteSpool(str(tmp_path / "j.db"))
    stream = spool.stream("s1", "0" * 16)
    for at in range(1, 60_001, 2000):
        spool.take(stream, [(i, "s1", 1000 * i, i) for i in range(at, at + 2000)])
        spool.sync()
    spool.close()
    with hub(tmp_path) as program:
        url_of(program)
        until((tmp_path / "j.db.api").exists, "it answers")
        add = [*BOURN, "repositories", "add", "csv:all.csv", "--from", "oldest", "--wait", "--journal", "j.db"]
        done = subprocess.run(add, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=True)
        assert re.search(r"^added csv:\S+/all.csv at place [\d,]+, \d\d,\d{3} behind$", done.stdout, re.MULTILINE), done
        assert done.stdout.splitlines()[-1].endswith("all.csv has all that was there: 60,000 readings and gaps")
        assert (tmp_path / "all.csv").read_bytes().count(b"\r\n") == 60_001
        program.interrupt()
        assert program.ended() == 0


def test_how_far_a_repository_is_that_catches_up(tmp_path: Path) -> None:
    """Against the driver itself: a repository that takes a batch when it is told to."""
    from threading import Semaphore

    from bourn.hub.repositories.driver import Driver

    class Slow:
        url, keeps, batch_rows = "slow:", True, 10_000

        def __init__(self) -> None:
            self.may = Semaphore(0)

        def open(self, mark: str | None) -> None:
            """Nothing to do."""

        def write(self, entries: list[object]) -> None:
            if entries:
                self.may.acquire()

        def close(self) -> None:
            """Nothing to do."""

    with contextlib.closing(SqliteSpool(str(tmp_path / "j.db"))) as spool:
        stream = spool.stream("s1", "0" * 16)
        for at in range(1, 50_001, 2000):
            spool.take(stream, [(i, "s1", 1000 * i, i) for i in range(at, at + 2000)])
            spool.sync()
        slow = Slow()
        driver = Driver(spool, slow, "oldest")
        driver.start()
        seen = []
        for batch in range(1, 6):
            slow.may.release()
            until(lambda n=batch: driver.written == 10_000 * n, "it takes a batch")
            seen.append(driver.status()["progress"])
        assert seen == [0.2, 0.4, 0.6, None, None]  # near the end it keeps up
        driver.stop(10)
