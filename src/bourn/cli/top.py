"""`bourn top`: what the running hub does, in the terminal, once a second until q or Ctrl-C.

Links in trouble come first. It fits 80 x 24, follows the window's size, and gives the terminal back as it was. A hub
that goes away is told and waited for.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from bourn.cli.api import Api, ApiError
from bourn.cli.status import NO_POINTS, brokers, errors, head, links, repositories
from bourn.hub.natural import natural_key

EVERY_S = 1.0  # as often as the hub samples its rates
LEAST = 4  # rows of links, however small the window is
LINES = 5  # that are always there: the links' titles and their count, two between, what keys there are
PAGE_KEYS = {b"j": 1, b"\x1b[B": 1, b"k": -1, b"\x1b[A": -1, b" ": 10, b"\x1b[6~": 10, b"b": -10, b"\x1b[5~": -10}


class Watch(threading.Thread):
    """Asks the hub every EVERY_S in a thread of its own: keys are answered also while the hub is not."""

    def __init__(self, find: Callable[[], Api], changed: Callable[[], None]) -> None:
        super().__init__(name="bourn-top", daemon=True)
        self.snapshot: dict[str, Any] | None = None
        self.trouble: str | None = None
        self._find = find
        self._changed = changed
        self._stop = threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        while not self._stop.is_set():
            try:
                self.snapshot = self._find().get(NO_POINTS)  # found anew: a hub that was started again has another port
                self.trouble = None
            except ApiError as e:
                self.trouble = str(e)
            self._changed()
            self._stop.wait(EVERY_S)

    def stop(self) -> None:
        """No more questions."""
        self._stop.set()


def run_top(find: Callable[[], Api]) -> None:
    """Show it until q or Ctrl-C. ApiError where there is no hub at first, or no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ApiError(
            "bourn top needs a terminal; `bourn status` prints the same once, `bourn status --json` for programs"
        )
    find().get(NO_POINTS)  # what is wrong at the start is told plainly, not on a screen of its own
    console = Console(highlight=False)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    watch = Watch(find, lambda: _wake(theirs))
    with _keys() as keyboard, _woken_by_signals(theirs), console.screen(hide_cursor=True) as screen:
        watch.start()
        first = 0
        while True:
            rows = console.size.height
            screen.update(view(watch.snapshot, watch.trouble, console.size.width, rows, first))
            ready, _, _ = select.select([keyboard, ours.fileno()], [], [])
            if ours.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    ours.recv(4096)
            if keyboard in ready:
                key = os.read(keyboard, 16)
                if key in (b"q", b"Q", b"\x03", b"\x04", b""):  # Ctrl-C as a key, Ctrl-D, and a terminal that has gone
                    break
                count = len(watch.snapshot["links"]) if watch.snapshot else 0
                first = max(0, min(first + PAGE_KEYS.get(key, 0), count - 1))
    watch.stop()
    ours.close()


def view(
    snapshot: dict[str, Any] | None, trouble: str | None, width: int, height: int, first: int = 0
) -> RenderableType:
    """What is on the screen, `height` rows of `width` columns; `first` is the first link that is shown."""
    below = Text("q ends · j k scroll", "dim")
    if snapshot is None:
        return Group(Text(trouble or "asking the hub…"), below)
    above = head(snapshot, width)
    if trouble:
        above.append(Text(trouble, "bold yellow"))
    for line in above:
        line.no_wrap, line.overflow = True, "ellipsis"
    newest = snapshot["errors"]
    shown_errors = max(1, min(3, len(newest)))
    left = height - len(above) - shown_errors - LINES
    heard = [row for row in snapshot["listeners"] if "state" in row]
    heard.sort(key=lambda row: row["state"] == "up")
    shown_brokers = heard[: max(1, left // 4)]
    left -= len(shown_brokers) + 1 if shown_brokers else 0
    repos = sorted(snapshot["repositories"], key=lambda row: row["state"] == "up")
    shown_repos = repos[: max(1, left // 3)]
    room = max(LEAST, left - max(1, len(shown_repos) + 1 if shown_repos else 1))
    rows = sorted(
        snapshot["links"], key=lambda link: (link["state"] == "up", not link["dropped"], natural_key(link["source"]))
    )
    shown = rows[first : first + room]
    told = errors({**snapshot, "counters": {"refused": {}}}, shown_errors)
    told.no_wrap, told.overflow = True, "ellipsis"
    count = f"{first + 1} to {first + len(shown)} of {len(rows)}" if len(shown) < len(rows) else f"{len(rows)}"
    return Group(
        *above,
        Text(),
        links(shown, width),
        Text(f"links {count}", "dim"),
        *brokers(shown_brokers, width),
        repositories(shown_repos, width),
        Text(),
        told,
        below,
    )


def _wake(end: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError, OSError):  # full: it will wake anyway; closed: it has ended
        end.send(b"w")


@contextlib.contextmanager
def _keys() -> Iterator[int]:
    """Keys as they are pressed, without echo; the terminal is as it was afterwards."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _woken_by_signals(end: socket.socket) -> Iterator[None]:
    """A window of another size is drawn at once; SIGTERM ends it like Ctrl-C, so that the terminal is given back."""

    def ended(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    old = signal.set_wakeup_fd(end.fileno(), warn_on_full_buffer=False)
    resized = signal.signal(signal.SIGWINCH, lambda number, frame: None)
    terminated = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, terminated)
        signal.signal(signal.SIGWINCH, resized)
        signal.set_wakeup_fd(old)
