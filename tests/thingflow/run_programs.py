"""Runs programs and prints what each printed, as JSON: `python run_programs.py theirs|ours FILE ...`.

With `ours` the program's imports of `thingflow` are changed to `bourn.thingflow`, those of `antevents` as the table in
docs/migration.md says, and nothing else.
"""

import faulthandler
import io
import json
import logging
import re
import sys
import traceback

TIMEOUT_S = 60  # for one program; a hang prints where it hangs

IMPORTS = (
    (re.compile(r"^(\s*)from thingflow\b", re.MULTILINE), r"\1from bourn.thingflow"),
    (re.compile(r"^(\s*)import (thingflow[\w.]*)$", re.MULTILINE), r"\1import bourn.\2; from bourn import thingflow"),
    (re.compile(r"^from antevents\.base\b", re.MULTILINE), "from bourn.thingflow.antevents"),
    (re.compile(r"^(from|import) antevents\.linq\b", re.MULTILINE), r"\1 bourn.thingflow.filters"),
    (re.compile(r"^(from|import) antevents\.adapters\b", re.MULTILINE), r"\1 bourn.thingflow.adapters"),
)


def run(path, ours):
    """What the program prints; an exception it ends with is the last line."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if ours:
        for pattern, replacement in IMPORTS:
            text = pattern.sub(replacement, text)
    sys.stdout.seek(0)
    sys.stdout.truncate()
    faulthandler.dump_traceback_later(TIMEOUT_S, exit=True)
    try:
        exec(compile(text, path, "exec"), {"__name__": "__main__"})
    except BaseException as e:
        traceback.print_exc()
        print(f"ended with {type(e).__name__}")
    faulthandler.cancel_dump_traceback_later()
    return sys.stdout.getvalue()


def main():
    """Run them all."""
    logging.disable(logging.CRITICAL)
    ours = sys.argv[1] == "ours"
    stdout, sys.stdout = sys.stdout, io.StringIO()  # before anything is imported: ThingFlow keeps the one it finds then
    print(json.dumps({path: run(path, ours) for path in sys.argv[2:]}), file=stdout)


main()
