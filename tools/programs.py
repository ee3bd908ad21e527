"""Gets the system programs that some tests call: `python tools/programs.py`.

Where this is root on a machine with apt they are installed; elsewhere one line says which tests are left out and what
to install. Status 0, or 1 where CI=true and a program is missing.
"""

import ctypes.util
import importlib.util
import os
import shutil
import subprocess
import sys

# the packages, the names that the program may have (a dotted one is a module, lib: is a library), what is left out
PROGRAMS = (
    (
        "chromium fonts-dejavu-core",
        ("chromium", "chromium-browser", "google-chrome"),
        "the live page in a real browser",
    ),
    ("mosquitto", ("mosquitto",), "the MQTT adapters against a real broker"),
    ("influxdb", ("influxd",), "the InfluxDB adapters against a real server"),
    ("postgresql", ("pg_ctlcluster", "initdb"), "the PostgreSQL adapters against a real server"),
    (
        f"libpython{sys.version_info[0]}.{sys.version_info[1]}-testsuite",
        ("test.lock_tests",),
        "stdlib/ by the tests that ship with CPython",
    ),
    ("npm", ("npm",), "the page's chart library, and the emulator of Azure's object store"),
    ("strace", ("strace",), "that a commit reaches the disk before its ack"),
    ("libportaudio2", ("lib:portaudio",), "a microphone, as far as there is one without hardware"),
)


def present(names):
    """Whether one of the programs is on PATH, or can be imported, or is a library that can be loaded."""
    for name in names:
        if name.startswith("lib:") and ctypes.util.find_library(name[4:]):
            return True
        package = name.rpartition(".")[0]
        if shutil.which(name) or (
            package and importlib.util.find_spec(package) is not None and importlib.util.find_spec(name) is not None
        ):
            return True
    return False


def install(packages):
    """Install Debian packages; what apt complains of is shown."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        print(f"tools: apt-get {' '.join(command)}", flush=True)
        done = subprocess.run(
            ["apt-get", "-qq", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            print(done.stderr.strip(), file=sys.stderr)


def main():
    """Install what is missing where that can be done, then say what still is."""
    missing = [package for packages, names, _ in PROGRAMS if not present(names) for package in packages.split()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        install(missing)
    left_out = [(packages, names[0], what) for packages, names, what in PROGRAMS if not present(names)]
    for packages, name, what in left_out:
        print(f"tools: no {name}, so this is not tested: {what} (apt install {packages})")
    if left_out and os.environ.get("CI") == "true":
        sys.exit(f"tools: CI needs every program, missing: {' '.join(name for _, name, _ in left_out)}")


main()
