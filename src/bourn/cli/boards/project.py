"""Writes a board's project: a main.py to change, the settings it reads, and five lines that say what to do.

And looks at one before it goes to a board: what a board could only say by a traceback is told here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import secrets
import socket
from pathlib import Path

from bourn import wire
from bourn.cli.boards import BoardError
from bourn.device.connections import check_url

PORTS = {"tcp": 7007, "tls": 7443}  # what hubs listen at unless told otherwise
SUFFIX = "abcdefghjkmnpqrstuvwxyz23456789"  # of a name: nothing that looks like something else on a label
SUFFIX_LENGTH = 4  # one of 900,000: a thousand boards have two of one name once in two tries, ten once in 20,000
SECURE_HUB = (
    "Hub: docs/running.md says how one is reached over TLS or a broker; put what the URL names into this folder."
)
BOARDS = ".boards"  # in a project: the chips that it was installed on, a line each

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
1. @HUB@
2. Board on USB: `bourn board install`, and again after each change of `main.py`; `bourn board run` shows what it does.
3. Sensors are in `main.py`; name, hub and Wi-Fi in `settings.json` (with the password: do not publish it).
   One project is one board: for a second one `bourn board init` again, with another folder.
4. The board's log: `bourn board log`.
"""


def write_project(folder: str, name: str, hub: str, wifi: str, password: str, force: bool) -> list[str]:
    """Write the project's files and return their paths. BoardError for a wrong name or URL, or where there is one."""
    if not wire.source_ok(name):
        raise BoardError(f"a board's name is made of A-Z a-z 0-9 _ . - (1 to 64), not {name!r}; use --name")
    try:
        _check_hub(hub)
    except ValueError as e:
        raise BoardError(f"--hub: {e}") from e
    place = Path(folder)
    settings = {"name": name, "hub": hub, "every": 5}
    if wifi:
        settings["wifi"] = {"name": wifi, "password": password}
    texts = {
        "main.py": MAIN,
        "settings.json": json.dumps(settings, indent=2) + "\n",
        "README.md": README.replace("@NAME@", name).replace("@HUB@", _hub_line(hub)),
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


def new_name() -> str:
    """A name that no other board has: two of one name would push each other off the hub."""
    return "board-" + "".join(secrets.choice(SUFFIX) for _ in range(SUFFIX_LENGTH))


def hub_command(url: str) -> str:
    """The command that starts the hub of `url` with its page, or "" where it takes more than a command."""
    if not url.startswith("tcp://"):
        return ""
    return f"bourn hub --listen tcp://0.0.0.0:{url.rpartition(':')[2]} --insecure --log-to-plot"


def _hub_line(url: str) -> str:
    command = hub_command(url)
    return f"Hub, on a computer in a network of yours alone: `{command}`." if command else SECURE_HUB


def hub_url(hub: str) -> str:
    """The URL that `hub` means: a host or host:port is one with `tcp://`, at the port that hubs have.

    BoardError where it is none that a board can reach.
    """
    scheme, _, rest = hub.rpartition("://")
    scheme = scheme or "tcp"
    if scheme not in PORTS:
        return hub
    rest, mark, query = rest.partition("?")
    rest = rest.rstrip("/")
    with contextlib.suppress(ValueError):  # a name, an IPv4 address, or one with its port
        rest = f"[{ipaddress.IPv6Address(rest)}]"  # without brackets its end would be a port
    if not re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?", rest, re.ASCII):
        raise BoardError(f"--hub: {hub!r} is no host, host:port or URL like tcp://192.168.1.10:{PORTS['tcp']}")
    if not re.search(r":\d+$", rest) or rest.endswith("]"):
        rest = f"{rest}:{PORTS[scheme]}"
    return f"{scheme}://{rest}{mark}{query}"


def only_here(url: str) -> bool:
    """Whether `url` names the machine that asks: a board would look for the hub on itself."""
    host = url.partition("://")[2].rpartition(":")[0].strip("[]")
    return host in {"localhost", "::1"} or host.startswith("127.")


def _check_hub(url: str) -> None:
    """ValueError where it is no hub's URL for a board. The files that it names are to be in the project, not here."""
    check_url(url.partition("?")[0])
    if url.partition("://")[0] in ("tls", "mqtts") and "ca" not in dict(_parts(url)):
        raise ValueError(
            f"a board trusts nobody by itself: {url.partition('?')[0]}?ca=ca.pem names whom it is to trust"
        )


def check_project(folder: Path) -> list[str]:
    """The files that its settings name and that are not in it. BoardError where the settings are wrong.

    Settings are looked at in a project whose main.py makes a `Board`; those of others may mean anything.
    """
    path = folder / "settings.json"
    if not path.exists() or "Board(" not in (folder / "main.py").read_text(encoding="utf-8", errors="replace"):
        return []
    settings = json.loads(path.read_text(encoding="utf-8"))
    wrong = _wrong(settings) if isinstance(settings, dict) else "it is no object, {...}"
    if wrong:
        raise BoardError(f"{path}: {wrong}; nothing was copied")
    named = [*([settings["keys"]] if settings.get("keys") else []), *named_files(settings["hub"])]
    return [file for file in named if not (folder / file.lstrip("/")).exists()]


def _wrong(settings: dict[str, object]) -> str:
    """What is wrong with them, in words; "" where nothing is."""
    name, hub, wifi = (settings.get(key) for key in ("name", "hub", "wifi"))
    if not isinstance(name, str) or not wire.source_ok(name):
        return f'"name" is made of A-Z a-z 0-9 _ . - (1 to 64), not {name!r}'
    try:
        _check_hub(str(hub))
    except ValueError as e:
        return f'"hub": {e}'
    for key in ("every", "pause", "outbox_bytes"):
        value = settings.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            return f'"{key}" is a number above 0, not {value!r}'
    if wifi and not (isinstance(wifi, dict) and isinstance(wifi.get("name"), str)):
        return '"wifi" is {"name": ..., "password": ...}; without one leave it out'
    for key in ("ntp", "keys"):
        if not isinstance(settings.get(key, ""), str):
            return f'"{key}" is a text, not {settings[key]!r}'
    return ""


def _parts(url: str) -> list[tuple[str, str]]:
    """What stands behind the ? of a URL."""
    parts = (part.partition("=") for part in url.partition("?")[2].split("&") if part)
    return [(key, value) for key, _, value in parts]


def named_files(url: str) -> list[str]:
    """The files that a hub's URL names: they are to be in the project."""
    return [value for key, value in _parts(url) if key in ("ca", "cert", "key")]


def note_board(folder: str, unique_id: str) -> str:
    """Note on which chip a project is; a line for whoever has put it on another one before, or ""."""
    notes = Path(folder) / BOARDS
    try:
        known = notes.read_text().split()
    except OSError:
        known = []
    if not unique_id or unique_id in known:
        return ""
    try:
        notes.write_text("".join(f"{one}\n" for one in [*known, unique_id]))
    except OSError:
        return ""  # a folder that cannot be written: then nobody is told, and nothing else is lost
    if not known:
        return ""
    return (
        "note:  this project is on another board, too: two of one name push each other off the hub. A second board has "
        "a project of its own: bourn board init board2, and bourn board install --project board2"
    )


def home_address() -> str:
    """This computer's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: it only makes the kernel choose a route
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
