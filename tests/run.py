"""Runs the shared tests: plain functions `test_*` with `assert`, the same files on every interpreter.

    python tests/run.py [--lane NAME]... [--file PART]...    every file of tests/shared on every interpreter
    INTERPRETER tests/run.py FILE [NAME]...                  one file (or some of its tests), on this interpreter

This file runs on a board-sized heap, so it is small; tools/lanes.py, on CPython only, runs it once for each test file
and lane. A test that can't run here says so: `from run import Skip` and `raise Skip("why")`.
"""

import gc
import sys


class Skip(Exception):
    """Raised by a test that can't run on this interpreter; its argument says why."""


def folder_of(path):
    """The folder that `path` is in."""
    return path.rsplit("/", 1)[0] if "/" in path else "."


def tests_in(path):
    """The names of the tests in a file, in the order they stand there: a MicroPython module keeps none."""
    with open(path) as file:
        return [line[4 : line.index("(")] for line in file if line.startswith("def test_")]


def report(verdict, name, e):
    """One line for a test that is not ok, and where it failed."""
    print(verdict, name)
    if hasattr(sys, "print_exception"):
        sys.print_exception(e, sys.stdout)
    else:
        import traceback

        traceback.print_exception(e, file=sys.stdout)


def run_file(path, only):
    """Run the tests of one file; how many did not pass."""
    passed = failed = skipped = 0
    module = None
    try:
        names = [name for name in tests_in(path) if not only or name in only]
        module = __import__(path.rsplit("/", 1)[-1][:-3])
    except Exception as e:
        names = []
        report("FAIL", "import of " + path, e)
        failed = 1
    for name in names:
        gc.collect()
        try:
            getattr(module, name)()
            print("ok", name)
            passed += 1
        except Skip as e:
            print("skip", name + ":", e)
            skipped += 1
        except (Exception, SystemExit) as e:
            report("FAIL", name, e)
            failed += 1
    if passed + failed + skipped == 0:
        print("FAIL no test in", path)
        failed = 1
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return failed


def main():
    """Either role; the exit status is 1 where something failed."""
    here = folder_of(__file__)
    root = here + "/.."
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.path.insert(0, root + "/tools")
        lanes = __import__("lanes")
        sys.exit(lanes.main(sys.argv[1:]))
    path = sys.argv[1]
    ours = [folder_of(path), here, root + "/src"]
    if sys.implementation.name == "micropython":
        # Only what is ours: a library in the user's home must not decide a test. stdlib/ is MicroPython's alone.
        sys.path[:] = ours + [root + "/stdlib", ".frozen"]
    else:
        sys.path[:0] = ours
    sys.modules["run"] = __import__("__main__")  # so that a test's Skip is this one
    sys.exit(1 if run_file(path, sys.argv[2:]) else 0)


if __name__ == "__main__":
    main()
