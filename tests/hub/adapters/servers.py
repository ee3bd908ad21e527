"""Real servers on free ports of the loopback interface, for one test session; a missing one is a failure in CI only."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

START_S = 30
POLL_S = 0.02  # between two looks at a starting server


def missing(what):
    """There is no such program here."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {what}")
    pytest.skip(f"there is no {what} here; `make tools` says how to get it")


def free_port():
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for_port(port, process):
    """Return when someone listens."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(POLL_S)
    raise RuntimeError(f"{process.args[0]} does not listen")


@contextlib.contextmanager
def mosquitto(folder, port, *lines):
    """A broker; ends with the block."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        missing("mosquitto")
    config = Path(folder) / f"mosquitto-{port}.conf"
    config.write_text("\n".join([f"listener {port} 127.0.0.1", "allow_anonymous true", *lines, ""]))
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(10)


def postgres_programs():
    """The folder of Debian's newest PostgreSQL server, or of the one on PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    found = folders[-1] if folders else shutil.which("initdb")
    return None if found is None else Path(found).parent


@contextlib.contextmanager
def postgresql(folder):
    """A database server of a user that is not root; gives its connection string."""
    programs = postgres_programs()
    if programs is None:
        missing("PostgreSQL (apt install postgresql)")
    data = Path(folder) / "pg"
    as_user = []
    if os.geteuid() == 0:  # it refuses to run as root
        as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        data.mkdir()
        os.chown(data, 65534, 65534)
        for parent in data.parents:
            with contextlib.suppress(PermissionError):
                if parent.stat().st_uid == 0 and str(parent).startswith(os.environ.get("TMPDIR", "/tmp") + "/"):
                    parent.chmod(parent.stat().st_mode | 0o011)
    port = free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": "/"}
    initdb = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "bourn", "-A", "trust", "-N", "-E", "UTF8"]
    subprocess.run(initdb, check=True, **quiet)
    options = ["-k", str(data), "-h", "127.0.0.1", "-p", str(port), "-c", "fsync=off"]
    process = subprocess.Popen([*as_user, str(programs / "postgres"), "-D", str(data), *options], **quiet)
    try:
        wait_for_port(port, process)
        end = time.monotonic() + START_S  # it listens before it answers
        ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, check=False).returncode and time.monotonic() < end:
            time.sleep(POLL_S)
        yield f"host=127.0.0.1 port={port} user=bourn dbname=postgres"
    finally:
        process.terminate()
        process.wait(30)
