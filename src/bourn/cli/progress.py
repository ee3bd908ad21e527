"""How far long work is, on standard error: a bar with counts and the time left on a terminal, elsewhere a line now
and then. What is over in a moment shows nothing.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

SHOW_AFTER_S = 0.4  # what takes no longer needs no bar
LINE_S = 3.0  # between two lines where nobody looks


class Stopped(Exception):
    """The user does not want to wait for it."""


class Progress:
    """`with Progress() as say:` then `say("counting", done, total)` as it goes on, and `say("a line")` at any time.

    `total` 0: nobody knows how much there is. Once `stopped()` is true the next word raises Stopped.
    """

    def __init__(
        self, stopped: Callable[[], bool] = lambda: False, clock: Callable[[], float] = time.monotonic, on: Any = None
    ) -> None:
        self._stopped = stopped
        self._clock = clock
        self._on = on if on is not None else sys.stderr
        self._what = ""  # what is being done
        self._began = 0.0
        self._last = 0.0  # when a line was written last
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, what: str, done: float | None = None, total: float = 0) -> None:
        """Something is to be told, or has gone on."""
        if self._stopped():
            raise Stopped(what)
        if done is None:
            self._end()
            self._line(what)
            return
        now = self._clock()
        if what != self._what:
            self._end()
            self._what, self._began, self._last = what, now, now
        if self._on.isatty():
            self._draw(what, done, total, now)
        elif now - self._last >= LINE_S:
            self._last = now
            self._line(f"{what}: {_far(done, total, now - self._began)}")

    def _draw(self, what: str, done: float, total: float, now: float) -> None:
        if self._bar is None:
            if now - self._began < SHOW_AFTER_S and total:
                return
            self._bar = make_bar(self._on, counts=total > 1)
            self._bar.start()
            self._task = self._bar.add_task(what, total=total or None)
        self._bar.update(self._task, completed=done)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None
        self._what = ""

    def _line(self, text: str) -> None:
        self._on.write(f"bourn: {text}\n")
        self._on.flush()


@contextlib.contextmanager
def reading(what: str, wanted: bool = True) -> Iterator[Callable[[float], None] | None]:
    """For `read_journal`: which part of it has been read; None where it is not wanted."""
    if not wanted:
        yield None
        return
    with Progress() as say:
        say(what, 0, 1)
        yield lambda part: say(what, part, 1)


def make_bar(on: Any, counts: bool) -> Any:
    """A bar of rich, not begun, that takes itself away at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=2)),
        BarColumn(None, table_column=Column(ratio=1)),
        TaskProgressColumn(),
        *([TextColumn("{task.completed:,.0f} of {task.total:,.0f}")] if counts else []),
        TimeRemainingColumn(elapsed_when_finished=True),
    ]
    return Bar(
        *columns,
        console=Console(file=on),
        transient=True,
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _far(done: float, total: float, seconds: float) -> str:
    if not total:
        return f"since {seconds:.0f} s"
    counts = f", {done:,.0f} of {total:,.0f}" if total > 1 else ""
    left = f", {seconds * (total - done) / done:.0f} s left" if 0 < done < total else ""
    return f"{100 * done / total:.0f} %{counts}{left}"
