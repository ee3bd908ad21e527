"""`bourn plot`: stored readings as a picture, a panel for each sensor over one time axis, by matplotlib (extra `plot`).

However many readings there are, each panel keeps at most BUCKETS of them in memory: of every slice of time its lowest
and highest value, so that no spike is lost.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from bourn.cli.progress import reading
from bourn.hub.natural import natural_key
from bourn.hub.repositories.csv_file import format_time
from bourn.spool.sqlite import StoredReading, read_journal

PANELS = 24  # sensors drawn; the others are named below the picture
LINES = 6  # of one panel: the first numbers of an array
BUCKETS = 4000  # slices of time of one line; about three for every dot of the picture
WIDTH = 11.0  # inches
PANEL_HEIGHT = 1.45
INK, PALE, GRID = "#20303c", "#5c6f7b", "#dfe6ea"
COLOURS = ("#1f6f8b", "#d1603d", "#5b8c5a", "#8f5d9c", "#b08d2b", "#4a6fa5")
KINDS = (".png", ".svg", ".pdf")


class PlotError(Exception):
    """The picture cannot be made; the text says why and what to do."""


class _Line:
    """One curve in bounded memory: lowest and highest value of each slice of time."""

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._span = max(1, (last - first) // BUCKETS + 1)
        self._slices: dict[int, list[tuple[int, float]]] = {}

    def add(self, ts: int, value: float) -> None:
        """Take a point, in any order."""
        slice_ = self._slices.setdefault((ts - self._first) // self._span, [])
        slice_.append((ts, value))
        if len(slice_) > 8:
            slice_[:] = self._kept(slice_)

    def points(self) -> list[tuple[int, float]]:
        """What is to be drawn, by time."""
        return [point for key in sorted(self._slices) for point in self._kept(self._slices[key])]

    @staticmethod
    def _kept(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
        by_value = sorted(points, key=lambda p: p[1])
        by_time = sorted(points)
        return sorted({by_time[0], by_value[0], by_value[-1], by_time[-1]})


class _Panel:
    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[_Line] = []
        self.count = 0
        self.others = 0  # readings that are no numbers
        self.steps = True  # until something else than a truth value comes
        self.newest: tuple[int, Any] = (0, None)

    def add(self, r: StoredReading, first: int, last: int) -> None:
        """Take a reading."""
        self.count += 1
        if r.ts >= self.newest[0]:
            self.newest = r.ts, r.val
        values = r.val if isinstance(r.val, list) else [r.val]
        numbers = [float(v) for v in values[:LINES] if isinstance(v, (int, float))]
        if not numbers or len(numbers) != len(values[:LINES]):
            self.others += 1
            return
        self.steps = self.steps and isinstance(values[0], bool)
        while len(self.lines) < len(numbers):
            self.lines.append(_Line(first, last))
        for line, number in zip(self.lines, numbers, strict=False):
            line.add(r.ts, number)


def draw(journal: str, out: str, sensors: list[str], since: int | None, until: int | None) -> None:
    """Draw what the journal holds into the file `out`. PlotError, JournalError."""
    if os.path.splitext(out)[1].lower() not in KINDS:
        raise PlotError(f"--out {out}: a picture's name ends with {', '.join(KINDS)}")
    try:
        import matplotlib as mpl
        import matplotlib.dates
        import matplotlib.figure
    except ImportError as e:
        raise PlotError("bourn plot needs matplotlib: pip install 'bourn[plot]'") from e
    panels, first, last, left_out = _collect(journal, sensors, since, until)
    if not panels:
        raise PlotError(f"there are no numbers to draw in {journal} for these sensors and times")
    mpl.rcParams.update({"font.size": 9, "text.color": INK, "axes.labelcolor": PALE, "svg.hashsalt": "bourn"})
    height = 1.1 + PANEL_HEIGHT * len(panels)
    figure = mpl.figure.Figure(figsize=(WIDTH, height), dpi=130, facecolor="white")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for index, (panel, ax) in enumerate(zip(panels, axes, strict=True)):
        _draw_panel(panel, ax, index)
    locator = mpl.dates.AutoDateLocator(tz=_local(), maxticks=9)
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(mpl.dates.ConciseDateFormatter(locator, tz=_local()))
    axes[-1].tick_params(axis="x", length=3, labelcolor=PALE, color=GRID)
    margin = max(1, (last - first) // 100)
    axes[-1].set_xlim(_date(first - margin), _date(last + margin))
    total = sum(panel.count for panel in panels)
    figure.suptitle(
        f"{os.path.basename(journal)}   {total:,} readings of {len(panels)} sensor{'s' if len(panels) > 1 else ''}",
        x=0.09,
        y=1 - 0.28 / height,
        ha="left",
        va="center",
        fontsize=12,
        fontweight="bold",
    )
    figure.text(0.975, 1 - 0.28 / height, f"{_spoken(first)} to {_spoken(last)}", ha="right", va="center", color=PALE)
    if left_out:
        figure.text(0.09, 0.12 / height, f"not drawn: {_some(left_out)}", color=PALE, fontsize=8)
    figure.subplots_adjust(left=0.09, right=0.975, top=1 - 0.62 / height, bottom=0.5 / height, hspace=0.28)
    try:
        figure.savefig(out)
    except OSError as e:
        raise PlotError(f"{out} cannot be written: {e.strerror}; choose another with --out") from e
    sys.stdout.write(f"{out}: {total:,} readings of {len(panels)} sensors\n")


def _collect(
    journal: str, sensors: list[str], since: int | None, until: int | None
) -> tuple[list[_Panel], int, int, list[str]]:
    """The panels by name, the first and last moment, and the sensors that are not drawn."""
    first = last = None
    with reading(f"looking through {journal}") as progressed:
        for r in _readings(journal, sensors, since, until, progressed):
            first = r.ts if first is None else min(first, r.ts)
            last = r.ts if last is None else max(last, r.ts)
    if first is None or last is None:
        return [], 0, 0, []
    panels: dict[str, _Panel] = {}
    with reading(f"drawing what is in {journal}") as progressed:
        for r in _readings(journal, sensors, first, last + 1, progressed):
            source = r.id.partition(":")[0]
            name = r.sensor if r.sensor == source else f"{source}/{r.sensor}"
            panel = panels.get(name)
            if panel is None:
                panel = panels[name] = _Panel(name)
            panel.add(r, first, last)
    drawn = sorted((p for p in panels.values() if p.lines), key=lambda p: natural_key(p.name))
    without = sorted((p.name for p in panels.values() if not p.lines), key=natural_key)
    return drawn[:PANELS], first, last, [p.name for p in drawn[PANELS:]] + without


def _readings(
    journal: str, sensors: list[str], since: int | None, until: int | None, progressed: Callable[[float], None] | None
) -> Iterator[StoredReading]:
    for r in read_journal(journal, sensors[0] if len(sensors) == 1 else None, since, until, progressed):
        if (not sensors or r.sensor in sensors) and abs(r.ts) < 253_402_300_799_999:
            yield r


def _draw_panel(panel: _Panel, ax: Any, index: int) -> None:
    for i, line in enumerate(panel.lines):
        points = line.points()
        times, values = [_date(ts) for ts, _ in points], [value for _, value in points]
        colour = COLOURS[(index + i) % len(COLOURS)]
        few = len(points) <= 120
        style = {"marker": "o", "markersize": 2.6, "markeredgewidth": 0} if few else {}
        ax.plot(times, values, color=colour, linewidth=1.2, drawstyle="steps-post" if panel.steps else None, **style)
        if len(panel.lines) == 1 and not panel.steps and few:
            ax.fill_between(times, values, min(values), color=colour, alpha=0.07, linewidth=0)
    if panel.steps:
        ax.set_yticks([0, 1], ["false", "true"])
        ax.set_ylim(-0.2, 1.2)
    else:
        ax.margins(y=0.14)
        ax.locator_params(axis="y", nbins=4)
    ax.grid(axis="both", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(GRID)
    ax.tick_params(axis="both", length=0, labelcolor=PALE)
    ax.set_title(panel.name, loc="left", fontsize=9.5, fontweight="bold", pad=4)
    note = f"{panel.count:,} readings   last {_short(panel.newest[1])}"
    if panel.others:
        note += f"   {panel.others:,} not numbers"
    ax.set_title(note, loc="right", fontsize=8, color=PALE, pad=4)


def _short(val: Any) -> str:
    """A value as it is said beside a panel."""
    if isinstance(val, bool) or val is None:
        return json.dumps(val)
    if isinstance(val, float):
        return f"{val:.5g}"
    if isinstance(val, list):
        return ", ".join(map(_short, val[:LINES])) + (", …" if len(val) > LINES else "")
    text = str(val)
    return text if len(text) <= 24 else text[:23] + "…"


def _date(ts: int) -> datetime:
    return datetime.fromtimestamp(ts / 1000, UTC)


def _local() -> Any:
    """The time zone of this machine."""
    return datetime.now().astimezone().tzinfo


def _spoken(ts: int) -> str:
    try:
        return datetime.fromtimestamp(ts / 1000).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return format_time(ts)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
