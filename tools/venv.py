"""Makes .venv and installs this project into it, editable: `python3 tools/venv.py demo|dev|bench`.

Works where Debian's python3-venv is not installed: the environment is made without pip, and the pip of the
interpreter that runs this file installs into it. An old Python must be able to read this file: it says what is wrong.
"""

import os
import subprocess
import sys

OLDEST = (3, 11)
OLDEST_PIP = (22, 3)  # the first with --python
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
SETS = {"demo": ["demo"], "dev": ["demo", "dev"], "bench": ["demo", "dev", "bench"]}


def fail(message):
    """End with one line and status 2."""
    sys.stderr.write(f"setup: {message}\n")
    sys.exit(2)


def answer(*command):
    """What `command` prints, or None where it fails."""
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def check_python():
    """Refuse a Python that is too old."""
    if sys.version_info[:2] < OLDEST:
        have, want = (".".join(str(n) for n in version) for version in (sys.version_info[:2], OLDEST))
        fail(f"{sys.executable} is Python {have}, Bourn needs {want} or newer. Try: make PYTHON=python{want}")


def make_venv():
    """Make .venv unless it is there with this very version of Python."""
    version = ".".join(str(n) for n in sys.version_info[:3])
    if answer(VENV_PYTHON, "-c", "import platform; print(platform.python_version())") == version:
        return
    print(f"setup: making .venv with Python {version}", flush=True)
    if subprocess.call([sys.executable, "-m", "venv", "--without-pip", "--clear", VENV]):
        fail(f"`{sys.executable} -m venv` failed. Try: make PYTHON=/usr/bin/python3")


def find_pip():
    """The command that installs into .venv."""
    have = answer(sys.executable, "-m", "pip", "--version")
    if have is not None and tuple(int(n) for n in have.split()[1].split(".")[:2]) >= OLDEST_PIP:
        return [sys.executable, "-m", "pip", "--python", VENV_PYTHON]
    inside = [VENV_PYTHON, "-m", "pip"]
    if answer(*inside, "--version") is None and answer(VENV_PYTHON, "-m", "ensurepip") is None:
        fail(f"no usable pip for {sys.executable}. Try: apt install python3-pip")
    return inside


def install(name):
    """Install the project and the extras of the set `name`; pip says what fails."""
    print(f"setup: installing {', '.join(['bourn', *SETS[name]])}", flush=True)
    # Not compiled at once: what is used compiles itself at its first import, the rest never.
    options = ["-qq", "--disable-pip-version-check", "--no-compile"]
    # The folder, not its path: a path with a space or a bracket in it is no requirement.
    what = f".[{','.join(SETS[name])}]"
    if subprocess.call([*find_pip(), "install", *options, "--editable", what], cwd=ROOT):
        fail("pip could not install it (its own lines above say why); without a network it needs a pip cache")


def leave_pip():
    """Leave a `pip` in .venv that installs there by the pip that is used here: once activated, it is what is meant."""
    pip = os.path.join(VENV, "bin", "pip")
    if not os.path.exists(pip):
        with open(pip, "w") as file:
            command = " ".join("'" + word.replace("'", "'\\''") + "'" for word in find_pip())
            file.write("#!/bin/sh\nexec " + command + ' "$@"\n')
        os.chmod(pip, 0o755)


def main():
    """Set up, then leave the stamp that make looks at."""
    if len(sys.argv) != 2 or sys.argv[1] not in SETS:
        fail(f"usage: tools/venv.py {'|'.join(SETS)}")
    check_python()
    make_venv()
    install(sys.argv[1])
    leave_pip()
    for name in SETS[sys.argv[1]]:
        with open(os.path.join(VENV, f".{name}"), "w") as stamp:
            stamp.write(f"{sys.version}\n")


try:
    main()
except KeyboardInterrupt:
    fail("interrupted; the same command goes on from here")
