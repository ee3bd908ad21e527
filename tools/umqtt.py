"""Gets umqtt, MicroPython's usual MQTT client, into .tools/umqtt: a peer to compare with, never a part of Bourn.

    python tools/umqtt.py        one line that says where it is from, or that it cannot be had; status 0 in both cases

By `mip`, as boards do it, else from PyPI, where an older one is. The source archive there has no setup that a new pip
takes, but pip unpacks it first, and that is all MicroPython needs.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import interpreters

FOLDER = interpreters.TOOLS / "umqtt"
NAMES = ("simple", "robust")
FETCH_S = 60


def here():
    """The folder for MICROPYPATH, or None where umqtt is not there."""
    return FOLDER if all((FOLDER / "umqtt" / f"{name}.py").exists() for name in NAMES) else None


def get():
    """(folder, where it is from); (None, why) where it cannot be had."""
    note = FOLDER / "from"
    if not here():
        lane = interpreters.lanes(get=False)["mpy-x64"]
        if lane["reason"]:
            return None, lane["reason"]
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        by_mip(lane["command"])
        origin = "by mip"
        if not here():
            from_pypi()
            origin = "PyPI's micropython-umqtt"
        note.write_text(origin)
    return (here(), note.read_text()) if here() else (None, "umqtt can be had neither by mip nor from PyPI")


def by_mip(command):
    """As a board gets it."""
    for name in NAMES:
        asked = f"import mip; mip.install('umqtt.{name}', target='{FOLDER}', mpy=False)"
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run([*command, "-c", asked], capture_output=True, timeout=FETCH_S, check=False)


def from_pypi():
    """The files alone, out of what pip unpacks."""
    asked = ["download", "-q", "--no-clean", "--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
    command = [sys.executable, "-m", "pip"] if has_pip() else [shutil.which("pip") or "pip"]
    for name in NAMES:
        with tempfile.TemporaryDirectory() as unpacked:
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                subprocess.run(
                    [*command, *asked, f"micropython-umqtt.{name}", "-d", unpacked],
                    env={**os.environ, "TMPDIR": unpacked},
                    capture_output=True,
                    timeout=FETCH_S,
                    check=False,
                )
            for file in Path(unpacked).glob(f"**/umqtt/{name}.py"):
                (FOLDER / "umqtt").mkdir(exist_ok=True)
                shutil.copy(file, FOLDER / "umqtt")


def has_pip():
    """Whether this interpreter has a pip of its own; the environment of `make` has none."""
    return subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    print("tools: umqtt:", get()[1])
