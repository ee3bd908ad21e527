"""Runs the benchmarks and writes benchmarks/RESULTS.md, a section each: `python benchmarks/run.py [NAME ...]`.

A benchmark is a file beside this one with `TITLE` and `section()`, which returns Markdown. A section that was not run
this time stays as it was. Figures are of one run on one machine; it is the ratios that carry over.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
HEAD = """# Measured

Written by `make bench`, each section in one run, the peers beside it. Absolute figures are of the machine named; the
ratios carry over.
"""


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(f.stem for f in HERE.glob("*.py") if f.stem != "run")


def sections() -> dict[str, str]:
    """What RESULTS.md holds now, by the benchmark that wrote it."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    return dict(re.findall(r"<!-- (\w+) -->\n(.*?)(?=<!-- \w+ -->|\Z)", text, flags=re.DOTALL))


def main(wanted: list[str]) -> int:
    """Run those wanted, all by default."""
    unknown = set(wanted) - set(names())
    if unknown:
        sys.stderr.write(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}\n")
        return 2
    found = sections()
    for name in wanted or names():
        print(f"{name} ...", flush=True)
        module = importlib.import_module(name)
        body = module.section()
        print(body)
        machine = f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"
        python = f"CPython {platform.python_version()}"
        found[name] = f"## {module.TITLE}\n\n{date.today()}, {machine}, {python}.\n\n{body.strip()}\n\n"
        RESULTS.write_text(HEAD + "".join(f"\n<!-- {n} -->\n{text.strip()}\n" for n, text in sorted(found.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
