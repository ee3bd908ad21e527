"""The ways onto a board that need no board: `mip` from a web server, the bundles of `make boards`, the manifest."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bourn.cli.boards.device_files import GROUPS, files, is_device

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import boards  # noqa: E402 - a folder beside, no package
import interpreters  # noqa: E402 - the same

FLOW = """
import bourn
from bourn import Scheduler, SensorAsOutputThing, where

class Thermometer:
    sensor_id = "greenhouse"
    celsius = iter([19.5, 31.25, 33.0, 28.5])

    def sample(self):
        return next(self.celsius)

thermometer = SensorAsOutputThing(Thermometer())
thermometer.pipe(where(lambda e: e.val > 30), lambda e: print(e.sensor_id, e.val))
scheduler = Scheduler()
scheduler.schedule_periodic(thermometer, 0.01)
scheduler.run_forever()
print(bourn.__file__)
"""
DEVICE = """
from bourn.device.sender import Sender
from bourn.spool.ram import RamSpool
from bourn.device.logger import Logger
from bourn.device.mqtt import Client
from bourn.device.sensors import make_sensor
sender = Sender("tcp://127.0.0.1:1", "board", RamSpool(10))
sender.on_next((0, 0, 0))
sender.on_next(("s", 0, make_sensor({"kind": "counter"}).sample()))
print(sender.spool.waiting(), sender.counters["invalid"])
"""
LANES = ("mpy-x64", "mpy-armhf")


def lane(name: str) -> list[str]:
    """The command of an interpreter, or skip."""
    found = interpreters.lanes(get=False)[name]
    if found["reason"]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the lane {name}: {found['reason']}")
        pytest.skip(found["reason"])
    return found["command"]


def micropython(name: str, program: str, lib: Path | None = None) -> str:
    """What a program prints that finds nothing but `lib`."""
    done = subprocess.run(
        [*lane(name), "-X", "heapsize=256k", "-c", program],
        env={"MICROPYPATH": f".frozen:{lib or ''}"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make boards` writes, elsewhere."""
    folder = tmp_path_factory.mktemp("dist")
    boards.write_bundles(folder)
    return folder


@pytest.fixture(scope="module")
def server(bundles: Path) -> Iterator[str]:
    """The URL of a web server with the clone under /clone/ and the bundles under /dist/."""

    class Handler(Quiet):
        def translate_path(self, path: str) -> str:
            _, top, rest = path.split("/", 2)
            return str({"clone": ROOT, "dist": bundles}[top] / rest)

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(ROOT)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def installed(lib: Path) -> set[str]:
    return {path.relative_to(lib).as_posix() for path in lib.rglob("*") if path.is_file()}


def mip(lib: Path, *urls: str) -> None:
    """Install with MicroPython's own `mip`."""
    lib.mkdir()
    lines = "".join(f"mip.install('{url}', target='{lib}', index='', mpy=False)\n" for url in urls)
    micropython("mpy-x64", "import mip\n" + lines)


def test_mip_installs_the_clone_and_it_runs(server: str, tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    mip(lib, f"{server}/clone/package.json")
    assert installed(lib) == files("core").keys() | files("device").keys()
    for name in LANES:
        told = micropython(name, FLOW, lib).splitlines()
        assert told == ["greenhouse 31.25", "greenhouse 33.0", f"{lib}/bourn/__init__.py"]
        assert micropython(name, DEVICE, lib).split() == ["1", "1"]


def test_mip_installs_the_core_alone(server: str, tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    mip(lib, f"{server}/clone/core.json")
    assert installed(lib) == files("core").keys()
    assert micropython("mpy-x64", FLOW, lib).startswith("greenhouse 31.25\ngreenhouse 33.0\n")


def test_mip_installs_the_bundles_and_they_run(server: str, tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    mip(lib, *(f"{server}/dist/{group}/package.json" for group in GROUPS))
    wanted = {place.removesuffix(".py") + ".mpy" for group in GROUPS for place in files(group)}
    assert installed(lib) == wanted
    for name in LANES:
        told = micropython(name, FLOW, lib).splitlines()
        assert told == ["greenhouse 31.25", "greenhouse 33.0", f"{lib}/bourn/__init__.mpy"]
        assert micropython(name, DEVICE, lib).split() == ["1", "1"]
        assert micropython(name, "import threading, queue; print(threading.Condition, queue.Queue)", lib)


def test_every_module_that_is_installed_finds_what_it_imports(server: str, tmp_path: Path) -> None:
    """Core without device, device with core: no module of one needs what only the other has."""
    lib = tmp_path / "lib"
    mip(lib, f"{server}/dist/core/package.json")
    needs_more = {"bourn.drivers.thread": "threading", "bourn.device.mqtt_thread": "threading"}  # stdlib's
    for group in ("core", "device"):
        if group == "device":
            micropython("mpy-x64", f"import mip; mip.install('{server}/dist/device/', target='{lib}', index='')")
        names = [place.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for place in files(group)]
        lines = [f"import {name}" for name in names if name not in needs_more]
        micropython("mpy-x64", "\n".join(lines), lib)


def test_what_no_board_can_run_is_in_no_group() -> None:
    places = {place for group in ("core", "device") for place in files(group)}
    assert "bourn/things.py" in places and "bourn/device/sender.py" in places
    assert not any(place.startswith(("bourn/hub/", "bourn/cli/", "bourn/testing/")) for place in places)
    assert all(is_device(place.removeprefix("bourn/")) for place in places)
    assert {"threading.py", "queue.py"} <= files("stdlib").keys()
    with pytest.raises(ValueError, match="the groups are"):
        files("cores")


class Options:
    """What a manifest gets as `options`."""

    def __init__(self, **given: bool) -> None:
        self.given = given
        self.default: dict[str, bool] = {}

    def defaults(self, **default: bool) -> None:
        self.default = default

    def __getattr__(self, name: str) -> bool | None:
        return self.given.get(name, self.default.get(name))


def frozen(**given: bool) -> dict[str, Path]:
    """{place in the firmware: file} that manifest.py asks for, by the calls that MicroPython's build offers."""
    found = {}

    def package(folder: str, names: tuple[str, ...], base_path: str) -> None:
        for name in names:
            found[f"{folder}/{name}"] = ROOT / base_path / folder / name

    def module(name: str, base_path: str) -> None:
        found[name] = ROOT / base_path / name

    api = {"metadata": dict, "options": Options(**given), "package": package, "module": module}
    exec((ROOT / "manifest.py").read_text(), api)
    return found


def test_the_manifest_freezes_the_same_files() -> None:
    assert frozen() == {place: path for group in GROUPS for place, path in files(group).items()}
    assert frozen(device=False, stdlib=False) == files("core")
    assert all(path.is_file() for path in frozen().values())


def test_the_table_of_sizes_is_true(bundles: Path) -> None:
    sizes = {
        group: {
            path.relative_to(bundles / group).as_posix(): path.stat().st_size
            for path in (bundles / group).rglob("*.mpy")
        }
        for group in GROUPS
    }
    assert boards.untrue(sizes) == [], "write it anew: make boards"
    for group in GROUPS:
        package = json.loads((bundles / group / "package.json").read_text())
        assert sorted(place for place, _ in package["urls"]) == sorted(sizes[group])
