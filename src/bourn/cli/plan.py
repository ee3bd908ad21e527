"""`bourn plan`: how often a device wakes for a set of intervals, drawn and counted, and what its battery makes of it.

Three ways to wake are compared by running them: Bourn's planner itself; a timer for each task, each from the moment at
which it was added; and ThingFlow's rule. Those two count in ticks of 10 ms, ThingFlow's unit, and a program adds one
task after another, a tick apart: what is not aligned never wakes together just because it began together.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import typer

from bourn.cli.config import parse_duration
from bourn.scheduler import Scheduler

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MOST_WAKES = 150_000  # simulated; what comes more often in a day is counted up to there and scaled
MOST_TASKS = 50
TICK_MS = 10
THINGFLOW_LONGEST_MS = 10_485_000  # beyond, its scheduler raises
COLUMNS = 60  # of the timeline, where nobody says how wide the terminal is
MOST_COLUMNS = 120  # a second each
LEAST_COLUMNS = 20
BAR = 20  # columns of the longest bar
DRAWN_MS = 120_000


@dataclass
class Battery:
    """What the device lives on and what it uses: mAh at V, mJ for each wake-up, µA in between."""

    mah: float
    volt: float
    wake_mj: float
    sleep_ua: float

    def days(self, wakes_a_day: float) -> float:
        """How long it lasts, by these figures alone: no self-discharge, no cold."""
        stored_mj = self.mah * 3600 * self.volt
        a_day_mj = wakes_a_day * self.wake_mj + self.sleep_ua * self.volt * 86.4
        return stored_mj / a_day_mj if a_day_mj else float("inf")


class _Clock:
    """Stands where the simulation puts it."""

    def __init__(self) -> None:
        self.ms = 0

    def now(self) -> int:
        return self.ms

    def sleep(self, ms: int) -> None:
        self.ms += ms


def milliseconds(text: str) -> int:
    """An interval as the scheduler takes it. ValueError."""
    ms = round(parse_duration(text) * 1000)
    if not 1 <= ms <= 10 * 366 * DAY_MS:
        raise ValueError(f"{text!r} is no interval; they go from 1ms to 3660d")
    return ms


def slack_of(text: str, interval_ms: int) -> int:
    """The slack in ms: a part of the interval (10%) or a time (5s), shorter than it. ValueError."""
    if text.endswith("%"):
        try:
            part = float(text[:-1])
        except ValueError:
            part = -1
        if not 0 <= part < 100:
            raise ValueError(f"{text!r} is no slack; write 10% (from 0 to below 100) or a time like 5s")
        return int(interval_ms * part / 100)
    slack = 0 if text == "0" else round(parse_duration(text) * 1000)
    if slack >= interval_ms:
        raise ValueError(f"a slack of {text} is not shorter than the interval of {spoken(interval_ms)}")
    return slack


def planned(intervals: list[int], slacks: list[int], until_ms: int) -> list[list[int]]:
    """When each task runs in [0, until_ms) under the planner, and last when the device wakes (MOST_WAKES at most)."""
    clock = _Clock()
    scheduler = Scheduler(clock)
    runs: list[list[int]] = [[] for _ in intervals]

    def noting(times: list[int]) -> Callable[[], None]:
        return lambda: times.append(clock.ms)

    for times, interval, slack in zip(runs, intervals, slacks, strict=True):
        scheduler.schedule_recurring(noting(times), interval / 1000, slack / 1000)
    wakes: list[int] = []
    while (wake := scheduler.next_wake()) < until_ms and len(wakes) < MOST_WAKES:
        clock.ms = wake
        scheduler.run_due(wake)
        wakes.append(wake)
    return [*runs, wakes]


def thingflow_phases(ticks: list[int]) -> list[int]:
    """The tick at which each task begins by ThingFlow's rule, in the order in which they are added.

    With one of the same interval; else with the one that has the smallest interval which is a factor or a multiple;
    else at a tick of its own.
    """
    phases: list[int] = []
    for i, interval in enumerate(ticks):
        related = [(other, phase) for other, phase in zip(ticks, phases, strict=False) if other == interval]
        related = related or sorted(
            (other, phase)
            for other, phase in zip(ticks, phases, strict=False)
            if other % interval == 0 or interval % other == 0
        )
        phases.append(related[0][1] if related else i)
    return phases


def _a_day(moments: int, until_ms: int) -> float:
    return moments * DAY_MS / until_ms


def bourn_a_day(intervals: list[int], slacks: list[int]) -> float:
    """Wake-ups a day under Bourn's planner."""
    horizon = max(DAY_MS, 4 * max(intervals))
    wakes = planned(intervals, slacks, horizon)[-1]
    if len(wakes) == MOST_WAKES:
        return _a_day(MOST_WAKES, wakes[-1] + 1)
    return _a_day(len(wakes), horizon)


def timers_a_day(intervals: list[int]) -> float:
    """Wake-ups a day with a timer for each task: none wakes with another."""
    return sum(DAY_MS / interval for interval in intervals)


def thingflow_a_day(intervals: list[int]) -> float:
    """Wake-ups a day by ThingFlow's rule, counting each tick at which something runs once."""
    ticks = [max(1, round(interval / TICK_MS)) for interval in intervals]
    phases = thingflow_phases(ticks)
    horizon = min(10 * DAY_MS // TICK_MS, max(1, int(MOST_WAKES / sum(1 / t for t in ticks))))
    moments: set[int] = set()
    for tick, phase in zip(ticks, phases, strict=True):
        moments.update(range(phase, horizon, tick))
    return _a_day(len(moments), horizon * TICK_MS)


def spoken(ms: int) -> str:
    """A time as one writes it: 45 s, 1.5 h."""
    for name, unit in (("d", DAY_MS), ("h", HOUR_MS), ("min", 60_000), ("s", 1000)):
        if ms >= 2 * unit or (ms >= unit and ms % unit == 0 and name != "min"):
            return f"{ms / unit:g} {name}"
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:g} s"


def timeline(
    intervals: list[int], slacks: list[int], until_ms: int = DRAWN_MS, columns: int = COLUMNS
) -> list[tuple[str, str]]:
    """(label, line) of the picture: an axis, a row for each task, and when the device wakes."""
    runs = planned(intervals, slacks, until_ms + 1)

    def column(ms: int) -> int:
        return round(ms * columns / until_ms)

    def row(times: list[int], mark: str) -> str:
        marked = {column(ms) for ms in times}
        return "".join(mark if i in marked else "·" for i in range(columns + 1))

    axis = [" "] * (columns + 6)
    for quarter in range(5):
        text = f"{quarter * until_ms / 4000:g}" + (" s" if quarter == 4 else "")
        at = columns * quarter // 4
        axis[at : at + len(text)] = text
    rows = [("", "".join(axis).rstrip())]
    rows += [
        (f"every {spoken(interval)}", row(times, "|")) for interval, times in zip(intervals, runs[:-1], strict=True)
    ]
    return [*rows, ("wake-ups", row(runs[-1], "█"))]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.2f}"


def _lasts(days: float) -> str:
    if days == float("inf"):
        return "for ever"
    return f"{days:,.0f} days" if days < 730 else f"{days / 365.25:,.1f} years"


def rates(intervals: list[int], slacks: list[int], slack: str) -> list[tuple[str, float | None]]:
    """(way to wake, wake-ups a day); None where ThingFlow refuses the interval."""
    ways: list[tuple[str, float | None]] = [("a timer for each task", timers_a_day(intervals))]
    refused = max(intervals) > THINGFLOW_LONGEST_MS
    ways.append(("ThingFlow's rule", None if refused else thingflow_a_day(intervals)))
    ways.append(("Bourn, exact", bourn_a_day(intervals, [0] * len(intervals))))
    if any(slacks):
        ways.append((f"Bourn, {slack} slack", bourn_a_day(intervals, slacks)))
    return ways


def print_timeline(intervals: list[int], slacks: list[int], terminal: int) -> None:
    """Print the picture, as wide as the terminal lets it be."""
    width = max(len("wake-ups"), *(len(f"every {spoken(interval)}") for interval in intervals))
    room = terminal - width - len("  ") - len("120 s")  # the end of the axis stands out
    columns = min(MOST_COLUMNS, max(LEAST_COLUMNS, room - room % 4))
    for label, line in timeline(intervals, slacks, columns=columns):
        wakes = label == "wake-ups"
        name = typer.style(label.ljust(width), bold=wakes)
        typer.echo(f"{name}  {typer.style(line, fg='green' if wakes else None, dim=not label)}".rstrip())


def print_rates(ways: list[tuple[str, float | None]], battery: Battery | None, terminal: int) -> None:
    """Print the table of the ways to wake, with bars where the terminal has room for them."""
    width = max(len(name) for name, _ in ways)
    head = f"{'':{width}}  {'an hour':>10}  {'a day':>12}" + (f"  {'battery':>12}" if battery else "")
    bar = max(0, min(BAR, terminal - len(head) - len("  ")))
    least = min(a_day for _, a_day in ways if a_day is not None)
    most = ways[0][1] or 1
    typer.echo(f"\n{head}")
    for name, a_day in ways:
        if a_day is None:
            typer.echo(f"{name:{width}}  refuses an interval above {spoken(THINGFLOW_LONGEST_MS)}")
            continue
        line = f"{name:{width}}  {_number(a_day / 24):>10}  {_number(a_day):>12}"
        line += f"  {_lasts(battery.days(a_day)):>12}" if battery else ""
        line += f"  {'█' * max(1, round(bar * a_day / most))}" if bar > 4 else ""
        typer.echo(typer.style(line, fg="green" if a_day == least else None))


def print_plan(texts: list[str], slack: str, battery: Battery | None) -> None:
    """Print the picture, the table and the estimate. ValueError says what is wrong with an interval or the slack."""
    if len(texts) > MOST_TASKS:
        raise ValueError(f"{len(texts)} intervals; the most that can be planned here is {MOST_TASKS}")
    intervals = [milliseconds(text) for text in texts]
    slacks = [slack_of(slack, interval) for interval in intervals]
    for field in ("mah", "volt", "wake_mj", "sleep_ua") if battery else ():
        if not 0 <= getattr(battery, field) < 1e12:
            raise ValueError(f"the battery's figures are 0 or more, not {getattr(battery, field):g}")
    terminal = shutil.get_terminal_size().columns  # 80 where it is none
    print_timeline(intervals, slacks, terminal)
    print_rates(rates(intervals, slacks, slack), battery, terminal)
    if battery:
        typer.echo(
            f"\n{battery.mah:g} mAh at {battery.volt:g} V, {battery.wake_mj:g} mJ a wake-up, {battery.sleep_ua:g} µA "
            "asleep; without self-discharge."
        )
