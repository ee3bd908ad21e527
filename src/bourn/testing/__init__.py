"""Tools for testing flows: part of the product, used by Bourn's own tests on both interpreters.

The names below are loaded on first use.
"""

_HOMES = {
    "FaultyFiles": "files",
    "FaultyNetwork": "network",
    "ManualClock": "clock",
    "MemoryHub": "hub",
    "PowerCut": "files",
    "Recorder": "recorder",
    "marbles": "timeline",
    "raises": "recorder",
}


def __getattr__(name):
    home = _HOMES.get(name)
    if home:
        return getattr(__import__("bourn.testing." + home, None, None, (name,)), name)
    raise AttributeError("bourn.testing has no name " + repr(name))
