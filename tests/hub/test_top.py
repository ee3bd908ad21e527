"""`bourn top` in a real terminal (a pty), and what it shows in windows of any size."""

import contextlib
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_fake import FakeHub
from processes import BOURN, LIMIT_S, count, hub, sensors, until, url_of
from rich.console import Console

from bourn.cli.top import view


def screen(snapshot: object, width: int, height: int, first: int = 0, trouble: str | None = None) -> list[str]:
    """The lines that are shown."""
    console = Console(width=width, height=height, record=True, file=io.StringIO(), color_system=None)
    console.print(view(snapshot, trouble, width, height, first))  # type: ignore[arg-type]  # a fake's
    return console.export_text().splitlines()


def crowd(sensors: int) -> FakeHub:
    fake = FakeHub(sensors=sensors)
    for one in fake.snapshot["links"]:
        one.update(acked=1_234_567, rate=1234.5, backlog=99_999, seen_ms=59_000)
    fake.error("link 127.0.0.1:5555", "refused: a frame of 1073741828 bytes; 8 to 65536 are allowed " * 3)
    return fake


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60), (80, 16)])
@pytest.mark.parametrize("count_", [0, 5, 1000])
def test_it_fits_the_window(width: int, height: int, count_: int) -> None:
    shown = screen(crowd(count_)(), width, height)
    assert len(shown) <= height + (3 if height < 24 else 0), shown
    assert max(map(len, shown)) <= width
    assert shown[0].startswith("Bourn 0.1.0")
    if count_ == 5 and height >= 24:
        assert [line.split()[0] for line in shown if re.match(r"s\d ", line)] == ["s1", "s2", "s3", "s4", "s5"]
    if count_ == 1000:
        assert re.search(r"links 1 to \d+ of 1000", "\n".join(shown))


def test_trouble_comes_first_and_one_can_scroll() -> None:
    fake = crowd(100)
    fake.snapshot["links"][70].update(state="down")
    fake.snapshot["links"][80].update(dropped=3)
    first, second = [line.split()[0] for line in screen(fake(), 80, 24) if re.match(r"s\d+ ", line)][:2]
    assert (first, second) == ("s71", "s81")
    later = "\n".join(screen(fake(), 80, 24, first=50))
    assert "links 51 to" in later and "s71 " not in later


def test_a_hub_that_is_away_is_told_above_what_was_there() -> None:
    shown = screen(crowd(5)(), 80, 24, trouble="no hub is running at http://127.0.0.1:1; start one")
    assert any("no hub is running" in line for line in shown) and any(line.startswith("s1 ") for line in shown)
    assert screen(None, 80, 24)[0].startswith("asking")


def test_a_broker_that_is_away_and_what_it_counted() -> None:
    fake = crowd(1000)
    away = fake.broker("mqtt+json://127.0.0.1:1883/plant/{source}/{sensor}")
    away.update(state="down", last_error="the broker is not reached: Connection refused", rate=0.0)
    fake.broker()["counters"].update(messages=5, garbage=3)
    shown = screen(fake(), 80, 24)
    assert len(shown) <= 24 and max(map(len, shown)) <= 80
    (broker,) = [line for line in shown if line.startswith("mqtt+json")]
    assert re.search(r" down +0 +0.0 +the broker", broker)
    wide = screen(fake(), 200, 60)
    assert any(re.search(r"^mqtt://127.0.0.1:1883/bourn +up +0 +3.0 +- +messages 5, garbage 3", line) for line in wide)


def test_how_full_the_journal_is() -> None:
    fake = crowd(5)
    fake.snapshot["journal"]["space"].update(bytes=4_000_000_000, disk_free=3_100_000_000, oldest=None)
    assert any("█████░░░░░ 50% of 8.0 GB, 3.1 GB free on disk" in line for line in screen(fake(), 80, 24))
    fake.snapshot["journal"]["space"].update(bytes=8_000_000_000, state="full", dropped=12, dropped_for={"csv:x": 7})
    shown = "\n".join(screen(fake(), 80, 24))
    assert "██████████ 100% of 8.0 GB" in shown and "full: nothing is acknowledged until there is room" in shown
    assert "dropped 12, 7 before csv:x had them" in shown


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *command: str, cwd: Path, size: tuple[int, int] = (24, 80)) -> None:
        self.master, slave = pty.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(slave)
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            command, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        self.slave = slave
        self.text = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def shows(self, pattern: str) -> None:
        """Wait until it has been written since the last look."""
        end = time.monotonic() + LIMIT_S
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, f"{pattern!r} is not in {self.text!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")

    def ended(self) -> int:
        while self.process.poll() is None:  # it writes until its end
            if select.select([self.master], [], [], 0.05)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")
        return self.process.returncode


@contextlib.contextmanager
def terminal(*command: str, cwd: Path) -> Iterator[Terminal]:
    one = Terminal(*command, cwd=cwd)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        os.close(one.master)
        os.close(one.slave)


def test_in_a_terminal_until_q_or_a_signal(tmp_path: Path) -> None:
    with hub(tmp_path) as program:
        url = url_of(program)
        with sensors(tmp_path, url, "--num-sensors", "2", "--every", "0.2", "--micropython", "none"):
            until(lambda: count(tmp_path) > 3, "readings")
            with terminal(*BOURN, "top", "--journal", "j.db", cwd=tmp_path) as top:
                top.shows(r"s1 .*up")
                top.text = ""
                top.resize(40, 140)
                os.killpg(top.process.pid, signal.SIGWINCH)
                top.shows("RUNTIME")
                os.write(top.master, b"q")
                assert top.ended() == 0
                assert termios.tcgetattr(top.slave) == top.before
                assert "\x1b[?1049l" in top.text, "the screen that was there before is back"
            for number in (signal.SIGINT, signal.SIGTERM):
                with terminal(*BOURN, "top", "--journal", "j.db", cwd=tmp_path) as top:
                    top.shows(r"s1 .*up")
                    os.killpg(top.process.pid, number)
                    assert top.ended() in (0, 130)
                    assert "Traceback" not in top.text and "\x1b[?1049l" in top.text
                    assert termios.tcgetattr(top.slave) == top.before
            with terminal(*BOURN, "top", "--journal", "j.db", cwd=tmp_path) as top:
                top.shows(r"s1 .*up")
                program.kill()
                top.shows("has died")
                os.write(top.master, b"q")
                assert top.ended() == 0


def test_without_a_terminal_it_says_what_to_use(tmp_path: Path) -> None:
    done = subprocess.run([*BOURN, "top"], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1 and "needs a terminal" in done.stderr and "bourn status" in done.stderr
    with terminal(*BOURN, "top", cwd=tmp_path) as top:
        assert top.ended() == 1
        top.shows("no hub is running with the journal bourn.db")


def test_a_narrow_window_tells_what_is_wrong_in_full_below_its_tables(tmp_path: Path) -> None:
    dead = "postgresql://bourn@127.0.0.1:1/a-database-with-a-long-name"
    with hub(tmp_path, "--to", dead) as program:
        url_of(program)
        until((tmp_path / "j.db.api").exists, "it answers")
        for words in (("status",), ("repositories", "list")):
            terminal = Terminal(*BOURN, *words, "--journal", "j.db", cwd=tmp_path)
            assert terminal.ended() == 0
            lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.text).split("\r\n")
            assert max(map(len, lines)) <= 80
            assert [line for line in lines if re.match(r"postgresql://bourn@127.0.….* retrying ", line)], lines
            assert f"{dead}: " in " ".join(lines) and "Connection refused" in re.sub(r"\s+", " ", " ".join(lines))
        program.interrupt()
        assert program.ended() == 0
