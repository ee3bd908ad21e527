"""Runs every file of tests/shared on every interpreter, each in a process of its own (started by tests/run.py).

A file may say in its first lines what it needs; the values here are the defaults:

    # heap: 256k                                    of MicroPython, on 32 bits; 64 bits get the double
    # timeout: 60                                   seconds, three times as many under emulation
    # lanes: cpython mpy-x64 mpy-arm64 mpy-armhf    where it makes sense
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import interpreters

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT / "tests" / "shared"
HEAP_K = 256
TIMEOUT_S = 60
EMULATION = 3  # how much longer a test may take there
AT_ONCE = 2
CLOSING = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")


class Result:
    """What one file did on one lane."""

    def __init__(self, lane, name):
        self.lane = lane
        self.name = name
        self.passed = self.failed = self.skipped = 0
        self.seconds = 0.0
        self.output = ""
        self.trouble = ""  # why the process itself counts as a failure

    def read(self, output, status):
        """Take the counts from the closing line; no such line, or a status that contradicts it, is a failure."""
        self.output = output
        lines = output.rstrip().splitlines()
        closing = CLOSING.fullmatch(lines[-1]) if lines else None
        if closing:
            self.passed, self.failed, self.skipped = (int(n) for n in closing.groups())
        if not self.trouble and (not closing or (status != 0) != (self.failed > 0)):
            how = f"signal {-status}" if status < 0 else f"status {status}"
            self.trouble = f"ended with {how}{'' if closing else ' before its closing line'}"
        if self.trouble:
            self.failed += 1


def needs(path):
    """(heap in k, time limit in s, lanes or None) by the first lines of a test file."""
    with open(path, encoding="utf-8") as file:
        head = "".join(line for line, _ in zip(file, range(15), strict=False))
    said = dict(re.findall(r"(?m)^# (heap|timeout|lanes): (.+)$", head))
    heap = int(said.get("heap", f"{HEAP_K}k").rstrip("k"))
    lanes = said["lanes"].split() if "lanes" in said else None
    return heap, float(said.get("timeout", TIMEOUT_S)), lanes


def run_one(path, name, lane, running):
    """Run one file on one lane, within its time."""
    result = Result(name, str(path.relative_to(SHARED)))
    heap, limit, _ = needs(path)
    limit *= EMULATION if lane["emulated"] else 1
    command = [*lane["command"]]
    command += ["-X", "dev"] if name == "cpython" else ["-X", f"heapsize={heap}wk"]  # w: by the size of a word
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1")
    start = time.monotonic()
    process = subprocess.Popen(
        [*command, "tests/run.py", str(path.relative_to(ROOT))],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    running.add(process.pid)
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.send_signal(signal.SIGABRT)  # CPython says where each thread is
            process.communicate(timeout=1)
        kill(process.pid)
        output, _ = process.communicate()
        result.trouble = f"not done after {limit:.0f} s, in {first_unsaid(path, output)}"
    running.discard(process.pid)
    result.seconds = time.monotonic() - start
    result.read(output.decode(errors="replace"), process.returncode)
    return result


def first_unsaid(path, output):
    """The first test of a file that the output has no line for: the one that was running."""
    said = set(re.findall(r"(?m)^(?:ok|FAIL|skip) (\w+)", output.decode(errors="replace")))
    names = re.findall(r"(?m)^def (test_\w+)", path.read_text(encoding="utf-8"))
    return next((name for name in names if name not in said), "no test of its own")


def kill(session):
    """End a test's process and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def show(result):
    """One line, and for a failure everything the process has said."""
    verdict = "FAIL" if result.failed else "ok"
    counts = f"{result.passed} passed" + "".join(
        f", {n} {what}" for n, what in ((result.failed, "failed"), (result.skipped, "skipped")) if n
    )
    print(f"{verdict:4} {result.lane:10} {result.name:40} {result.seconds:6.1f} s  {counts}", flush=True)
    lines = result.output.splitlines() if result.failed else []
    if result.failed == 0 and result.skipped:
        lines = [line for line in result.output.splitlines() if line.startswith("skip ")]
    for line in [*lines, *([f"{result.lane}: {result.trouble}"] if result.trouble else [])]:
        print(f"     | {line}")


def summarize(results, lanes, missing):
    """The table and the closing line; how many failed."""
    print(f"\n{'lane':10} {'version':8} {'files':>6} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for name, lane in lanes.items():
        if name in missing:
            print(f"{name:10} left out: {lane['reason']}")
            continue
        mine = [one for one in results if one.lane == name]
        passed, failed, skipped = (sum(getattr(one, what) for one in mine) for what in ("passed", "failed", "skipped"))
        seconds = sum(one.seconds for one in mine)
        print(f"{name:10} {lane['version']:8} {len(mine):6} {passed:7} {failed:7} {skipped:8} {seconds:8.1f}")
    passed, failed, skipped = (sum(getattr(one, what) for one in results) for what in ("passed", "failed", "skipped"))
    if missing and os.environ.get("CI") == "true":
        print(f"CI needs every lane: {len(missing)} missing")
        failed += len(missing)
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return failed


def run_all(jobs):
    """Run the jobs, some at once, showing each as it ends; the results."""
    results, running = [], set()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for done in as_completed([pool.submit(run_one, *job, running) for job in jobs]):
                results.append(done.result())
                show(results[-1])
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for session in list(running):
                kill(session)
            raise
    return results


def main(arguments):
    """Run what the options leave; 1 where something failed."""
    parser = argparse.ArgumentParser(prog="tests/run.py", description="Run the shared tests on every interpreter.")
    parser.add_argument("--lane", action="append", help="only this lane (may be given again)")
    parser.add_argument("--file", action="append", help="only files whose path holds this (may be given again)")
    options = parser.parse_args(arguments)
    lanes = interpreters.lanes()
    if unknown := set(options.lane or []) - set(lanes):
        parser.error(f"no lane {', '.join(sorted(unknown))}; there are {', '.join(lanes)}")
    lanes = {name: lane for name, lane in lanes.items() if not options.lane or name in options.lane}
    missing = [name for name, lane in lanes.items() if lane["reason"]]
    paths = [
        path
        for path in sorted(SHARED.rglob("test_*.py"))
        if not options.file or any(part in str(path.relative_to(ROOT)) for part in options.file)
    ]
    jobs = []
    for path in paths:
        wanted = needs(path)[2] or list(interpreters.LANES)
        if unknown := set(wanted) - set(interpreters.LANES):
            parser.error(f"{path.relative_to(ROOT)} names no lane of ours: {', '.join(sorted(unknown))}")
        jobs += [(path, name, lane) for name, lane in lanes.items() if name in wanted and name not in missing]
    if not jobs:
        print("no test file is left to run")
    try:
        results = run_all(jobs)
    except KeyboardInterrupt:
        return 130
    failed = summarize(results, lanes, missing)
    return 1 if failed or not jobs else 0
