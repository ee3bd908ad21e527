"""How fast events pass through a chain: beside plain function calls and beside the peers, with the very same functions.

Every contender takes the same events through the same stages (map, where, scan, and again) to the same sink. They run
in turns, and the best of the rounds counts: what else the machine did meanwhile hits all alike. The peers are those of
the extra `bench` and are imported here only.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "micropython"), str(ROOT / "tools")]

import stages as the  # noqa: E402 - of micropython/

import interpreters  # noqa: E402 - of tools/
from bourn import Scheduler, _compat, emit_batch, from_iterable  # noqa: E402 - after those two
from bourn.testing import ManualClock  # noqa: E402 - as above

TITLE = "Dispatch"
EVENTS = 1_000  # within a millisecond or two, so that other processes leave at least one round alone
SLOW = 200  # for a contender that would take all the time
ROUNDS = 300
LIMIT = "plain calls"
OURS = "Bourn"
CLOSURES = "Bourn, closures as on a board"
Run = Callable[[Sequence[int]], object]  # takes the events through


def closures(count: int) -> Run:
    """Ours without generated code."""
    generates, _compat.GENERATES = _compat.GENERATES, False
    thing = the.chain(count)
    thing._emit(1)  # binds
    _compat.GENERATES = generates

    def run(events: Sequence[int]) -> None:  # a loop of its own: the interpreter tunes each to what it calls
        for x in events:
            thing._emit(x)

    return run


def batch(count: int) -> Run:
    """Ours, all events at once."""
    thing = the.chain(count)
    return lambda events: emit_batch(thing, events)


def chain_of_thingflow(first: Any, count: int) -> None:
    """The stages behind a thing of ThingFlow's: filters that are its methods."""
    import thingflow.filters.map
    import thingflow.filters.scan
    import thingflow.filters.where  # noqa: F401 - adds a method

    thing = first
    for i in range(count):
        if i % 3 == 0:
            thing = thing.map(the.increase)
        elif i % 3 == 1:
            thing = thing.where(the.positive)
        else:
            thing = thing.scan(the.larger, 0)
    thing.connect(the.sink)


def thingflow(count: int) -> Run:
    """ThingFlow 2.3, as a source of its own emits."""
    from thingflow.base import OutputThing

    first = OutputThing()
    chain_of_thingflow(first, count)

    def run(events: Sequence[int]) -> None:
        for x in events:
            first._dispatch_next(x)

    return run


def reactivex(count: int) -> Run:
    """RxPY: a Subject, piped."""
    from reactivex import operators
    from reactivex.subject import Subject

    first: Subject[int] = Subject()
    kinds = (operators.map(the.increase), operators.filter(the.positive), operators.scan(the.larger, 0))
    first.pipe(*[kinds[i % 3] for i in range(count)]).subscribe(the.sink)

    def run(events: Sequence[int]) -> None:
        for x in events:
            first.on_next(x)

    return run


def streamz(count: int) -> Run:
    """Streamz: a Stream that is emitted to."""
    from streamz import Stream

    first = stream = Stream()
    for i in range(count):
        if i % 3 == 0:
            stream = stream.map(the.increase)
        elif i % 3 == 1:
            stream = stream.filter(the.positive)
        else:
            stream = stream.accumulate(the.larger, start=0)
    stream.sink(the.sink)

    def run(events: Sequence[int]) -> None:
        for x in events:
            first.emit(x)

    return run


def scheduled(count: int) -> Run:
    """Ours with our source and scheduler: an element at each wake-up, and no time passes between them."""

    def run(events: Sequence[int]) -> None:
        scheduler = Scheduler(ManualClock())
        source = from_iterable(events)
        source.pipe(*the.stages_of(count), the.sink)
        scheduler.schedule_periodic(source, 0.001)
        scheduler.run_forever()

    return run


def thingflow_scheduled(count: int) -> Run:
    """ThingFlow with its source and its scheduler, an element at each turn of its loop: how its programs run."""
    import asyncio

    from thingflow.base import IterableAsOutputThing, Scheduler

    def run(events: Sequence[int]) -> None:
        loop = asyncio.new_event_loop()
        scheduler = Scheduler(loop)
        source = IterableAsOutputThing(iter(events))
        chain_of_thingflow(source, count)
        scheduler.schedule_recurring(source)
        with redirect_stdout(StringIO()):  # it says goodbye
            scheduler.run_forever()
        loop.close()

    return run


CONTENDERS: dict[str, Callable[[int], Run]] = {
    LIMIT: the.plain,
    "plain calls in one loop": lambda count: the.functions(count)[1],
    OURS: the.ours,
    "Bourn, emit_batch": batch,
    CLOSURES: closures,
    "ThingFlow 2.3": thingflow,
    "reactivex 6, Subject": reactivex,
    "streamz 0.6": streamz,
}

PROGRAMS: dict[str, Callable[[int], Run]] = {OURS: scheduled, "ThingFlow 2.3": thingflow_scheduled}


def on_cpython(contenders: dict[str, Callable[[int], Run]], rounds: int) -> dict[str, list[float]]:
    """Events per second for each of LENGTHS, by contender."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for count in the.LENGTHS:
        runs = {name: make(count) for name, make in contenders.items()}
        best = dict.fromkeys(runs, float("inf"))
        for _ in range(rounds):
            for name, run in runs.items():
                events = range(1, (SLOW if name.startswith("streamz") else EVENTS) + 1)
                gc.collect()
                gc.disable()
                began = time.perf_counter()
                run(events)
                best[name] = min(best[name], (time.perf_counter() - began) / len(events))
                gc.enable()
        for name, seconds in best.items():
            found[name].append(1 / seconds)
    return found


def on_micropython(lane: dict[str, Any]) -> dict[str, list[float]]:
    """As on_cpython, for the limit and ours."""
    environment = {"MICROPYPATH": f"{ROOT / 'src'}:.frozen"}
    command = [*lane["command"], str(HERE / "micropython" / "stages.py"), str(EVENTS), str(ROUNDS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    rows = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    return {LIMIT: [EVENTS * 1e6 / row[1] for row in rows], OURS: [EVENTS * 1e6 / row[2] for row in rows]}


def table(title: str, found: dict[str, list[float]]) -> list[str]:
    """One interpreter's table, in Markdown."""
    lengths = " / ".join(str(n) for n in the.LENGTHS)
    lines = [f"| {title} | thousand events/s | of plain calls | ours is faster by |", "|---|---|---|---|"]
    for name, rates in found.items():
        thousands = " / ".join(f"{rate / 1000:,.0f}" for rate in rates)
        shares = " / ".join(f"{100 * rate / limit:.0f} %" for rate, limit in zip(rates, found[LIMIT], strict=True))
        beside = " / ".join(f"{mine / rate:.1f}×" for rate, mine in zip(rates, found[OURS], strict=True))
        ours = name.startswith(("Bourn", "plain"))
        lines.append(f"| {name} | {thousands} | {shares} | {'-' if ours else beside} |")
    return [*lines, "", f"Each figure for {lengths} stages.", ""]


def section() -> str:
    """The tables for RESULTS.md."""
    lines = table("CPython", on_cpython(CONTENDERS, ROUNDS))
    programs = on_cpython(PROGRAMS, ROUNDS // 10)
    lines += ["| with source and scheduler | thousand events/s | ours is faster by |", "|---|---|---|"]
    for name, rates in programs.items():
        thousands = " / ".join(f"{rate / 1000:,.0f}" for rate in rates)
        beside = " / ".join(f"{mine / rate:.1f}×" for rate, mine in zip(rates, programs[OURS], strict=True))
        lines.append(f"| {name} | {thousands} | {'-' if name == OURS else beside} |")
    lines += ["", "The same stages behind a list, an element at each wake-up: Bourn's under a ManualClock.", ""]
    lane = interpreters.lanes()["mpy-x64"]
    if lane["reason"]:
        lines.append(f"MicroPython was left out: {lane['reason']}.")
    else:
        lines += table(f"MicroPython {lane['version']}", on_micropython(lane))
    return "\n".join(lines)
