"""Runs the tests of a file beside this one once more, where something underneath is another: sockets, a flash."""

import sys

from run import Skip, folder_of, tests_in

MICROPYTHON = sys.implementation.name == "micropython"


def again(name):
    """Every test of that file; the first that fails is named."""
    if not MICROPYTHON:
        raise Skip("it is for what a board has")
    module = __import__(name)
    names = tests_in(folder_of(__file__) + "/" + name + ".py")
    assert len(names) > 3
    for test in names:
        try:
            getattr(module, test)()
        except Skip:
            continue
        except Exception:
            print("in", name, test)
            raise
