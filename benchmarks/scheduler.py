"""What a wake-up costs with 1, 10 and 100 tasks, on CPython and on MicroPython; and how many there are in a day."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bourn.cli import plan
from bourn.scheduler import Scheduler
from bourn.testing import ManualClock

TITLE = "The scheduler"
ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "benchmarks" / "micropython" / "wakeups.py"
SETS = ((30, 45, 60), (10, 15, 25), (7, 11, 13), (20, 30, 50, 70), (59, 60, 61))


def lanes() -> dict[str, list[str]]:
    """The commands of the interpreters that are here and run natively."""
    beside = Path(sys.executable).parent / "micropython"
    found = {"CPython": [sys.executable]}
    if beside.exists():
        found["MicroPython x86-64"] = [str(beside)]
    return found


def costs(command: list[str]) -> list[list[float]]:
    """[tasks, 1 if of one interval, ns per wake-up, tasks run, bytes] for each line that the program prints."""
    done = subprocess.run(
        [*command, str(PROGRAM)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "MICROPYPATH": f"{ROOT / 'src'}:.frozen"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]


def a_month() -> float:
    """Seconds for 30 days of a device with three tasks, under a ManualClock."""
    scheduler = Scheduler(ManualClock())
    for interval in (30, 45, 60):
        scheduler.schedule_recurring(int, interval)
    scheduler.schedule_later_one_time(scheduler.stop, 30 * 86400)
    began = time.perf_counter()
    scheduler.run_forever()
    return time.perf_counter() - began


def section() -> str:
    """The tables for RESULTS.md."""
    lines = [
        "| tasks | intervals | interpreter | a wake-up | runs | for each | bytes made |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, command in lanes().items():
        for tasks, same, ns, ran, made in costs(command):
            lines.append(
                f"| {tasks:.0f} | {'one' if same else 'different'} | {name} | {ns / 1000:.1f} µs | {ran:.1f} | "
                f"{ns / 1000 / ran:.2f} µs | {'-' if made < 0 else f'{made:.0f}'} |"
            )
    lines += [
        "",
        "| intervals (s) | a timer each | ThingFlow's rule | Bourn, exact | slack 10 % | slack 50 % |",
        "|---|---|---|---|---|---|",
    ]
    for intervals in SETS:
        times = [s * 1000 for s in intervals]
        row = [plan.timers_a_day(times), plan.thingflow_a_day(times)]
        row += [plan.bourn_a_day(times, [plan.slack_of(f"{part}%", t) for t in times]) for part in (0, 10, 50)]
        lines.append(f"| {', '.join(map(str, intervals))} | " + " | ".join(f"{a_day:,.0f}" for a_day in row) + " |")
    lines += [
        "",
        f"Wake-ups a day. A month of three tasks (30, 45, 60 s) runs in {a_month():.2f} s under a ManualClock.",
    ]
    return "\n".join(lines)
