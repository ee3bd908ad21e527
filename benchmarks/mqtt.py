"""The device's MQTT client on MicroPython beside umqtt, at QoS 1, and both through a broker that is killed.

umqtt is fetched by tools/umqtt.py; it is never a part of Bourn.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "hub")]

from servers import free_port, mosquitto  # noqa: E402 - of tests/hub

import interpreters  # noqa: E402 - of tools/
import umqtt  # noqa: E402 - the same

TITLE = "MQTT on a device"
PROGRAM = str(HERE / "micropython" / "mqtt_work.py")
ROUNDS = 3
MESSAGES = 20_000
PEER_MESSAGES = 100  # it manages some twenty a second
RESTART_MESSAGES = 100
RESTART_AT = 40  # messages, after which the broker is killed
HEAP = "384k"  # a Linux board's; in 4 MB the allocator spends 75 % of the time looking for room among 130,000 blocks
LIMIT_S = 30  # for the whole run through a restart
OURS = {
    "one": "ours, `step`, one at a time",
    "window": "ours, `step`, a window of 32",
    "threads": "ours, `ThreadClient`, 4 threads",
}
LIMIT = {
    "bare1": "a bare socket, one packet made beforehand at a time",
    "bare32": "a bare socket, 32 of them on their way",
}
OF = {"one": "bare1", "window": "bare32", "threads": "bare32"}


def start(micropython: list[str], peers: Path | None, what: str, port: int, n: int) -> subprocess.Popen[str]:
    """The program."""
    path = f"{ROOT / 'src'}:{ROOT / 'stdlib'}:{peers}:.frozen"
    command = [*micropython, "-X", f"heapsize={HEAP}", PROGRAM, what, str(port), str(n)]
    env = {**os.environ, "MICROPYPATH": path}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)


def rate(micropython: list[str], peers: Path | None, what: str, port: int, n: int) -> float:
    """Messages per second that the broker has acknowledged."""
    out, _ = start(micropython, peers, what, port, n).communicate(timeout=600)
    word, done, took = out.splitlines()[-1].split()
    assert word == "done" and int(done) == n, out
    return int(done) / float(took)


def through_a_restart(micropython: list[str], peers: Path | None, what: str, folder: Path) -> str:
    """What becomes of the messages when the broker is killed after RESTART_AT of them, and is back at once."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(contextlib.ExitStack())
        server = broker.enter_context(mosquitto(folder, port))
        program = start(micropython, peers, what, port, RESTART_MESSAGES)
        limit = threading.Timer(LIMIT_S, program.kill)
        limit.start()
        returned, links, line, began = 0, "", "", time.monotonic()
        assert program.stdout is not None
        for line in program.stdout:
            if line.startswith("returned"):
                returned += 1
            if line.startswith("links"):
                links = f" over {line.split()[1]} links"
            if returned == RESTART_AT and server.poll() is None:
                server.kill()
                broker.close()
                broker.enter_context(mosquitto(folder, port))
        limit.cancel()
        status = program.wait()
        took = time.monotonic() - began
    if line.startswith("done"):
        return f"all {RESTART_MESSAGES} acknowledged{links}, in {took:.1f} s"
    if status < 0:
        return f"{returned} of {RESTART_MESSAGES}, then it hung until it was ended after {LIMIT_S} s"
    return f"{returned} of {RESTART_MESSAGES}, then it ended: {line.strip()[:80]}"


def section() -> str:
    """The tables."""
    lane = interpreters.lanes()["mpy-x64"]
    if lane["reason"]:
        return f"Not measured: {lane['reason']}."
    micropython = lane["command"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers, said = umqtt.get()
        port = free_port()
        best: dict[str, float] = {}
        with mosquitto(folder, port):
            for _ in range(ROUNDS):
                for what in (*OURS, *LIMIT):
                    best[what] = max(best.get(what, 0), rate(micropython, peers, what, port, MESSAGES))
            theirs = rate(micropython, peers, "simple", port, PEER_MESSAGES) if peers else None
        head = "| QoS 1, 40 bytes, mosquitto on this machine | messages/s | of a bare socket's | against umqtt.simple |"
        lines = [head, "|---|---|---|---|"]
        for what, title in (OURS | LIMIT).items():
            ratio = f"{best[what] / theirs:,.0f}" if theirs else "–"
            share = f"{best[what] / best[OF[what]]:.0%}" if what in OF else "-"
            lines.append(f"| {title} | {best[what]:,.0f} | {share} | {ratio} |")
        if theirs:
            lines.append(f"| umqtt.simple | {theirs:,.0f} | - | 1 |")
        lines += ["", "| the broker is killed and is back at once | what becomes of the messages |", "|---|---|"]
        lines.append(f"| ours, `step` | {through_a_restart(micropython, peers, 'paced', folder)} |")
        if peers:
            lines.append(f"| umqtt.robust | {through_a_restart(micropython, peers, 'robust', folder)} |")
    about = f"umqtt: {said}." if peers else f"Without umqtt: {said}."
    return "\n".join(
        [
            f"MicroPython for x86-64, a heap of {HEAP}, best of {ROUNDS} rounds of {MESSAGES:,} messages. {about}",
            "",
            *lines,
        ]
    )
