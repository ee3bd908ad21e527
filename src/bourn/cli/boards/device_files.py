"""Which of Bourn's files a board may have: the one list that every way of installing is made from.

`core` is the flow, its operators, the scheduler, the frames and the spools; `device` is what runs sensors and sends
their readings; `stdlib` are the drop-ins `threading` and `queue`. The layers' test, the package files for `mip`, the
manifest for freezing, the bundles of `make boards` and `bourn board install` all ask here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

PACKAGE = Path(__file__).resolve().parent.parent.parent  # the folder `bourn`, in a clone or where pip put it
_INSTALLED = PACKAGE / "_stdlib"  # where a wheel has the drop-ins: not a folder that CPython imports from
STDLIB = _INSTALLED if _INSTALLED.exists() else PACKAGE.parent.parent / "stdlib"

# What only ever runs on CPython (a folder ends with /); everything else a board may run.
CPYTHON_ONLY = {
    "hub/": "the server's side",
    "cli/": "the command",
    "thingflow/": "ThingFlow's API, for programs that were written for CPython",
    "fuse.py": "generated code, loaded by chain.py where there is memory for a compiler",
    "_compat/substitutes.py": "what MicroPython has built in",
    "__main__.py": "the command",
    "device/client.py": "threads and asyncio side by side",
    "spool/sqlite.py": "the hub's journal",
    "local_queue.py": "a hub's process",
    "process_queue.py": "multiprocessing",
    "shared_ring.py": "it maps memory",
    "device/connections/thread_queue.py": "in a hub's process",
    "device/connections/process_queue.py": "multiprocessing",
    "device/connections/shared_memory.py": "it maps memory",
    "device/sensors/linux.py": "a Linux board's buses and pins",
    "spool/sqlite_file.py": "the hub's journal",
    "spool/stored.py": "the hub's journal",
    "spool/retention.py": "the hub's journal",
    "spool/recent.py": "the hub's journal",
}
# For a program's tests, which run on a computer: a board may have them, no package installs them.
NOT_INSTALLED = {"testing/"}

GROUPS = ("core", "device", "stdlib")


def within(name: str, places: Iterable[str]) -> bool:
    """Whether a file is one of these places, or in one that is a folder."""
    return any(name == place or (place.endswith("/") and name.startswith(place)) for place in places)


def is_device(name: str) -> bool:
    """Whether a board may run this file of the package (`things.py`, `device/sender.py`)."""
    return not within(name, CPYTHON_ONLY)


def traceback_name(place: str) -> str:
    """What a compiled file is called in a board's tracebacks: its module's last name, which is in RAM anyway.

    A path would be one more text there for each module that is loaded, some 40 bytes.
    """
    path = PurePosixPath(place)
    return path.parent.name if path.stem == "__init__" else path.stem


def files(group: str) -> dict[str, Path]:
    """{its place in a board's /lib: the file here} of one of GROUPS, sorted by place."""
    if group == "stdlib":
        return {path.name: path for path in sorted(STDLIB.glob("*.py"))}
    if group not in GROUPS:
        raise ValueError(f"there is no group {group!r}; the groups are {', '.join(GROUPS)}")
    names = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    return {
        f"bourn/{name}": PACKAGE / name
        for name in names
        if is_device(name) and not within(name, NOT_INSTALLED) and name.startswith("device/") == (group == "device")
    }
