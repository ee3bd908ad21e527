"""Writes what a board's installers read, out of the one list in src/bourn/cli/boards/device_files.py.

    python tools/board_files.py            write package.json, core.json, stdlib/package.json and manifest.py
    python tools/board_files.py --check    status 1 where one of them is not what would be written

A test checks them, so a new module of the device's side is forgotten nowhere.
"""

import json
import sys
from pathlib import Path

from bourn import __version__
from bourn.cli.boards.device_files import files

ROOT = Path(__file__).resolve().parent.parent


def package(folder, *groups):
    """The text of a package.json in `folder` that installs these groups."""
    pairs = [
        [place, path.relative_to(ROOT / folder).as_posix()] for group in groups for place, path in files(group).items()
    ]
    lines = ",\n".join("  " + json.dumps(pair) for pair in pairs)
    return f'{{\n "urls": [\n{lines}\n ],\n "version": "{__version__}"\n}}\n'


def manifest():
    """The text of manifest.py."""
    lines = [
        "# Freezes Bourn into a firmware: include('.../bourn/manifest.py', stdlib=False) in a board's own manifest.",
        "# Written by tools/board_files.py. The options core, device and stdlib are True; device needs core.",
        f'metadata(version="{__version__}", description="One dataflow for sensor data", license="MIT")',
        "options.defaults(core=True, device=True, stdlib=True)",
    ]
    for group in ("core", "device"):
        lines += ["", f"if options.{group}:", "    package(", '        "bourn",', "        ("]
        lines += [f'            "{place.removeprefix("bourn/")}",' for place in files(group)]
        lines += ["        ),", '        base_path="src",', "    )"]
    lines += ["", "if options.stdlib:"]
    lines += [f'    module("{place}", base_path="stdlib")' for place in files("stdlib")]
    return "\n".join(lines) + "\n"


def written():
    """{file: the text that it has to have}."""
    return {
        "package.json": package(".", "core", "device"),
        "core.json": package(".", "core"),
        "stdlib/package.json": package("stdlib", "stdlib"),
        "manifest.py": manifest(),
    }


def stale():
    """The files that are not what the list says."""
    return [name for name, text in written().items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text]


def main():
    """Write, or check."""
    names = stale()
    if "--check" in sys.argv[1:]:
        sys.exit(f"out of date: {', '.join(names)}; run: make boards" if names else 0)
    for name in names:
        (ROOT / name).write_text(written()[name])
        print(f"{name}: written")


if __name__ == "__main__":
    main()
