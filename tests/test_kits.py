"""The three sizes of device, on 32-bit ARM with their heaps, as .mpy, against a real broker and a real hub.

What each set weighs: the .mpy files that its program loads, and the heap that is gone once they are loaded. Ceilings
only go down; where one is above the design's budget, its line says so (docs/decisions/0014-what-a-device-costs.md).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bourn.cli.boards.device_files import GROUPS, files
from bourn.cli.boards.project import MAIN

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "hub")]
import servers  # noqa: E402 - the same

import boards  # noqa: E402 - a folder beside, no package
import interpreters  # noqa: E402 - the same

if os.environ.get("CI") != "true":
    pytest.importorskip("paho.mqtt.client")
import paho.mqtt.client as mqtt  # noqa: E402 - after the look for it

# The scales: what loading a program's set took. They are gone before it works, for no board has them.
WEIGH = """
import gc, sys


def load(name):
    gc.collect()
    before = gc.mem_alloc()
    program = __import__(name)
    gc.collect()
    print(gc.mem_alloc() - before, *[n for n in sys.modules if n.startswith("bourn") or "thread" in n or n == "queue"])
    del sys.modules["weigh"]
    return program
"""

SMALL = """
import gc
gc.threshold(1024)  # else the first garbage is collected when the heap is full, and lies between what stays
from bourn.device.logger import Logger
from bourn.device.mqtt_writer import MQTTWriter
from bourn.scheduler import Scheduler
import bourn.sensor  # which `schedule_sensor` loads


class Sensor:
    sensor_id = "kit"
    count = 0

    def sample(self):
        self.count += 1
        if self.count > 40:
            raise StopIteration
        return self.count


def run(host, port):
    writer = MQTTWriter("kit", host, port, "kit/readings", queue=10, window=4)
    clock = writer.client.clock  # one for all: 64 bytes each
    log = Logger("kit.log", max_len=4000, clock=clock)
    scheduler = Scheduler(clock, writer.wait)
    scheduler.schedule_sensor(Sensor(), 0.05, writer, lambda e: log.info(str(e.val)))
    scheduler.run_forever()
    log.info("sent")
    print(writer.client.counters["acked"], writer.client.counters["dropped"], writer.client.last_error)
"""

MIDDLE = """
from bourn.device.logger import Logger
from bourn.device.sender import Sender
from bourn.device.connections import tcp  # the driver of its URL
from bourn.device.wifi import WifiLink
from bourn.scheduler import Scheduler
from bourn.spool.segments import SegmentSpool
from bourn.operators.stateless import where
import bourn.sensor


class Sensor:
    sensor_id = "kit"

    def __init__(self):
        self.count = 0

    def sample(self):
        self.count += 1
        if self.count > 80:
            raise StopIteration
        return self.count


def run(url):
    from bourn.sensor import SensorAsOutputThing

    log = Logger("kit.log", max_len=4000)
    sender = Sender(url, "kit", SegmentSpool("outbox", max_bytes=32768, segment_bytes=1024))
    scheduler = Scheduler(wait=sender.wait)
    thing = SensorAsOutputThing(Sensor(), scheduler.clock)
    thing.pipe(where(lambda e: e.val % 2 == 0), sender)
    thing.connect(lambda e: log.info(str(e.val)))
    scheduler.schedule_periodic(thing, 0.02)
    scheduler.run_forever()
    sender.drain(10000)
    print(sender.counters["acked"], sender.spool.waiting())
    sender.close()
"""

# The project of `bourn board init` as it is, for some seconds; what it loads is what its user pays.
PROJECT = (
    re.sub(r"(?m)^#.*\n", "", MAIN)
    .replace('Board("settings.json")', "Board(settings)")
    .replace("board.run()", "board.scheduler.schedule_later_one_time(board.scheduler.stop, 4)\nboard.run()")
)
PROJECT_RUN = """
from bourn.device import board as _
from bourn.device.connections import tcp

def run(url):
    exec(TEXT, {"__name__": "__main__", "settings": {"name": "kit", "hub": url, "every": 0.2, "ntp": ""}})
"""

# Everything: every module that a board may have, and eight threads, four of which publish.
LARGE_RUN = """

def run(host, port, url):
    import threading, queue
    from bourn.device.mqtt_thread import ThreadClient

    client = ThreadClient(host, port, "kit")
    box = queue.Queue(10)

    def publish(n):
        for i in range(25):
            client.publish("kit/%d" % n, str(i))

    def pass_on(n):
        for i in range(5):
            box.put((n, i))

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
    threads += [threading.Thread(target=pass_on, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    most = threading.active_count()
    for _ in range(10):
        box.get()
    for thread in threads:
        thread.join()
    drained = client.drain(20000)
    client.close()
    middle.run(url)
    print(most <= 8, drained)
"""


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board's /lib: everything, as .mpy, and the three programs."""
    lib = tmp_path_factory.mktemp("lib")
    with tempfile.TemporaryDirectory() as folder:
        boards.write_bundles(Path(folder))
        for group in GROUPS:
            shutil.copytree(Path(folder) / group, lib, dirs_exist_ok=True)
    names = [
        place.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for g in GROUPS for place in files(g)
    ]
    imports = [f"import {name}" for name in names]
    for name, text in (
        ("weigh", WEIGH),
        ("small", SMALL),
        ("middle", MIDDLE),
        ("project", f"TEXT = {PROJECT!r}\n" + PROJECT_RUN),
        ("large", "\n".join(imports) + "\nimport middle\n" + LARGE_RUN),
    ):
        source = lib / f"{name}.py"
        source.write_text(text)
        (lib / f"{name}.mpy").write_bytes(boards.compiled(source, source.name))
        source.unlink()
    return lib


class Weight:
    """What a set's program said before it began to work."""

    def __init__(self, lib: Path, line: str) -> None:
        retained, *names = line.split()
        self.retained = int(retained)
        self.modules = {name: self._size(lib, name) for name in names if name != "_thread"}
        self.files = sum(self.modules.values())

    def _size(self, lib: Path, name: str) -> int:
        place = lib / name.replace(".", "/")
        path = place.with_suffix(".mpy")
        return (path if path.exists() else place / "__init__.mpy").stat().st_size


def run_kit(lib: Path, folder: Path, name: str, heap: str, *address: object) -> tuple[Weight, list[str]]:
    """Run one program in its heap, with the scales; its weight, and what it said at its end."""
    first, *rest = output(
        lib, folder, f"import weigh\nprogram = weigh.load({name!r})\ndel weigh\nprogram.run(*{address!r})", heap
    )
    return Weight(lib, first), rest[-1].split()


def output(lib: Path, folder: Path, program: str, heap: str, lane: str = "mpy-armhf") -> list[str]:
    """The lines that a program prints in its heap."""
    found = interpreters.lanes(get=False)[lane]
    if found["reason"]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the lane {lane}: {found['reason']}")
        pytest.skip(found["reason"])
    if not (folder / "l").exists():
        (folder / "l").symlink_to(lib)  # as short as a board's /lib: every module keeps its path
    done = subprocess.run(
        [*found["command"], "-X", f"heapsize={heap}", "-c", program],
        cwd=folder,
        env={"MICROPYPATH": "l:.frozen"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-800:] + done.stderr[-800:]
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a mosquitto."""
    port = servers.free_port()
    with servers.mosquitto(tmp_path_factory.mktemp("broker"), port):
        yield port


@contextlib.contextmanager
def hub(folder: Path) -> Iterator[str]:
    """A real hub; its URL."""
    command = [sys.executable, "-m", "bourn", "hub", "--listen", "tcp://127.0.0.1:0", "--no-web"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        yield next(found[0] for line in lines if (found := re.search(r"tcp://127\.0\.0\.1:\d+", line)))
    finally:
        process.terminate()
        process.wait(20)


class Listener:
    """Hears what arrives at the broker."""

    def __init__(self, port: int, topic: str, wanted: int) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._wanted = wanted
        self._all = threading.Event()
        ready = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_message = self._hear
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe(topic, 1)
        self.client.loop_start()
        assert ready.wait(10)

    def _hear(self, client: object, data: object, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload))
        if len(self.heard) >= self._wanted:
            self._all.set()

    def wait(self) -> list[tuple[str, bytes]]:
        self._all.wait(10)
        self.client.loop_stop()
        self.client.disconnect()
        return self.heard


def stored(folder: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(folder / "bourn.db")) as base:
        return [int(val) for (val,) in base.execute("select val from readings order by pos")]


def show(name: str, weight: Weight) -> None:
    """For whoever wants to shrink it: `pytest -s`."""
    print(f"\n{name}: {weight.files} bytes of .mpy, {weight.retained} retained")
    for module, size in sorted(weight.modules.items(), key=lambda one: -one[1]):
        print(f"  {size:6} {module}")


def test_esp8266_flow_scheduler_log_and_mqtt_in_24k(kits: Path, broker: int, tmp_path: Path) -> None:
    listener = Listener(broker, "kit/readings", 40)
    said = output(kits, tmp_path, f"import small\nsmall.run('127.0.0.1', {broker})", "24k")
    assert said == ["40 0 None"]
    assert [json.loads(payload)[2] for _, payload in listener.wait()] == list(range(1, 41))
    assert (tmp_path / "kit.log").read_text().endswith("sent\n")


def test_esp8266_keeps_what_its_queue_holds_while_the_broker_is_away_in_24k(kits: Path, tmp_path: Path) -> None:
    port = servers.free_port()
    (said,) = output(kits, tmp_path, f"import small\nsmall.run('127.0.0.1', {port})", "24k")
    acked, dropped, *why = said.split(maxsplit=2)
    assert (acked, dropped) == ("0", "30"), said  # of 40 readings the queue holds 10
    assert why[0].startswith(f"127.0.0.1:{port}: "), said
    assert (tmp_path / "kit.log").read_text().count("\n") == 41


def test_what_the_esp8266_kit_weighs(kits: Path, broker: int, tmp_path: Path) -> None:
    weight, said = run_kit(kits, tmp_path, "small", "64k", "127.0.0.1", broker)
    show("small", weight)
    assert said == ["40", "0", "None"], said
    # The design's budget: 12,288 and 14,336 bytes
    assert weight.files <= 13140
    assert weight.retained <= 19650


def test_esp32_outbox_in_segments_and_sender_in_64k(kits: Path, tmp_path: Path) -> None:
    with hub(tmp_path) as url:
        weight, said = run_kit(kits, tmp_path, "middle", "64k", url)
    show("middle", weight)
    assert said == ["40", "0"]
    assert stored(tmp_path) == list(range(2, 81, 2))
    assert weight.files <= 29830  # the design's budget: 32,768
    assert weight.retained <= 44400  # the design's budget: 36,864


def test_the_project_of_board_init_in_88k(kits: Path, tmp_path: Path) -> None:
    with hub(tmp_path) as url:
        weight, said = run_kit(kits, tmp_path, "project", "88k", url)
    show("project", weight)
    assert re.match(r"hub up, sent \d+, acknowledged \d+, waiting \d+$", " ".join(said[3:])), said
    with contextlib.closing(sqlite3.connect(tmp_path / "bourn.db")) as base:
        rows = base.execute("select count(*) from reading").fetchone()[0]
    assert rows >= 20
    assert weight.files <= 39100  # no budget of the design's: it is what a newcomer's board loads
    assert weight.retained <= 55100


def test_linux_board_with_everything_in_384k(kits: Path, broker: int, tmp_path: Path) -> None:
    listener = Listener(broker, "kit/#", 100)
    with hub(tmp_path) as url:
        weight, said = run_kit(kits, tmp_path, "large", "384k", "127.0.0.1", broker, url)
    show("large", weight)
    assert said == ["True", "True"]
    heard = listener.wait()
    for n in range(4):
        assert [int(payload) for topic, payload in heard if topic == f"kit/{n}"] == list(range(25))
    assert stored(tmp_path) == list(range(2, 81, 2))
    # The design's budget: 51,200 bytes of files, from before there were so many operators and drivers of chips; what
    # a program loads is the test above. These ceilings may rise by what is new, not by what grows.
    assert weight.files <= 150000
    assert weight.retained <= 235000
