"""The memory of a whole process on a Linux board: what each set of a device's modules adds to MicroPython's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import boards  # noqa: E402 - a folder beside, no package
import interpreters  # noqa: E402 - the same
from bourn.cli.boards.device_files import GROUPS, files  # noqa: E402 - after the path

TITLE = "A device's process"
SENDER = "bourn.scheduler bourn.sensor bourn.chain bourn.device.logger bourn.device.sender bourn.spool.segments"
MQTT = "bourn.scheduler bourn.sensor bourn.chain bourn.device.logger bourn.device.mqtt_things"
THREADS = "import threading, time\nfor i in range(7): threading.Thread(target=time.sleep, args=(60,)).start()"


def section() -> str:
    """The table."""
    everything = " ".join(
        place.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for g in GROUPS for place in files(g)
    )
    rows = ["| loaded, as .mpy | resident, KB |", "|---|---:|"]
    with tempfile.TemporaryDirectory() as folder:
        boards.write_bundles(Path(folder))
        for group in GROUPS:  # into one folder, as a board has them
            shutil.copytree(Path(folder) / group, Path(folder) / "lib", dirs_exist_ok=True)
        for what, modules, more in (
            ("nothing but MicroPython", "", ""),
            ("flow, scheduler, log, MQTT", MQTT, ""),
            ("flow, scheduler, log, outbox in segments, sender", SENDER, ""),
            ("the same with MQTT and its TLS", f"{SENDER} {MQTT} bourn.device.secure", ""),
            ("every module there is, 8 threads", everything, THREADS),
        ):
            rows.append(f"| {what} | {resident(Path(folder), modules, more):,} |")
    return (
        "\n".join(rows)
        + "\n\nDebian's MicroPython 1.25 for this machine (64-bit, objects twice as large), heap 768k; `VmRSS`."
    )


def resident(folder: Path, modules: str, more: str) -> int:
    """KB of a process that has loaded these modules."""
    program = "\n".join([*(f"import {name}" for name in modules.split()), more, "print('ready')", "import sys"])
    command = [*interpreters.native(), "-X", "heapsize=768k", "-c", program + "\nsys.stdin.read(1)"]
    process = subprocess.Popen(
        command, env={"MICROPYPATH": f"{folder}/lib:.frozen"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout and process.stdout.readline() == "ready\n"
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.kill()
        process.wait()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
