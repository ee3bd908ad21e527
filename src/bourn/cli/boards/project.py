"""Writes a board's project: a main.py to change, the settings it reads, and five lines that say what to do."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from bourn import wire
from bourn.cli.boards import BoardError
from bourn.device.connections import check_url

HUB_PORT = 7007

MAIN = '''\
"""What this board does: sample its sensors, keep their readings, send them to the hub.

MicroPython runs this file whenever the board gets power. Name, hub, Wi-Fi and how often are in settings.json. What the
hub has not on disk yet waits here; a power cut costs at most the latest readings, those that were still in RAM.
"""

import gc

from bourn.device.board import Board

board = Board("settings.json")


# Sensors: anything with a name and a method that returns a value. Chips have drivers (docs/sensors.md); a BME280:
#     from machine import I2C
#     from bourn.device.sensors import Sensor
#     from bourn.device.sensors.bme280 import BME280
#     board.sample(Sensor(board.name + "-air", BME280(I2C(0)).sample, 60), 60)
class Memory:
    """Free bytes of this board's heap."""

    sensor_id = board.name + "-memory"

    def sample(self):
        gc.collect()
        return gc.mem_free()


class Uptime:
    """Seconds since the power came."""

    sensor_id = board.name + "-uptime"

    def sample(self):
        return board.clock.now() // 1000


board.sample(Memory())
board.sample(Uptime())
board.run()
'''

README = """\
# @NAME@
1. Hub, on a computer in a network of yours alone: `bourn hub --listen tcp://0.0.0.0:@PORT@ --insecure`.
2. Board on USB: `bourn board install`, and again after each change of `main.py`; `bourn board run` shows what it does.
3. Sensors are in `main.py`; name, hub and Wi-Fi in `settings.json` (with the password: do not publish it).
4. The board's log: `bourn board log`.
"""


def write_project(folder: str, name: str, hub: str, wifi: str, password: str, force: bool) -> list[str]:
    """Write the project's files and return their paths. BoardError for a wrong name or URL, or where there is one."""
    if not wire.source_ok(name):
        raise BoardError(f"a board's name is made of A-Z a-z 0-9 _ . - (1 to 64), not {name!r}; use --name")
    try:
        check_url(hub.partition("?")[0])  # the files that it names are to be in the project, not here
    except ValueError as e:
        raise BoardError(f"--hub: {e}") from e
    place = Path(folder)
    settings = {"name": name, "hub": hub, "every": 5}
    if wifi:
        settings["wifi"] = {"name": wifi, "password": password}
    texts = {
        "main.py": MAIN,
        "settings.json": json.dumps(settings, indent=2) + "\n",
        "README.md": README.replace("@NAME@", name).replace("@PORT@", hub.rpartition(":")[2].partition("?")[0]),
    }
    there = [str(place / file) for file in texts if (place / file).exists()]
    if there and not force:
        raise BoardError(f"{there[0]} is there already; name another folder, or --force to write over it")
    try:
        place.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            mode = 0o600 if file == "settings.json" else 0o644
            with os.fdopen(os.open(place / file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as out:
                if mode == 0o600:
                    os.fchmod(out.fileno(), mode)
                out.write(text)
    except OSError as e:
        raise BoardError(f"{e.filename or folder} cannot be written: {e.strerror}; name another folder") from e
    return [str(place / file) for file in texts]


def hub_url(hub: str) -> str:
    """The URL that `hub` means: a host or host:port is one with `tcp://`, at the port that hubs have."""
    if "://" not in hub:
        hub = f"tcp://{hub}"
    if hub.startswith("tcp://") and not hub.rpartition(":")[2].isdecimal():
        hub = f"{hub.rstrip('/')}:{HUB_PORT}"
    return hub


def home_address() -> str:
    """This computer's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: it only makes the kernel choose a route
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
