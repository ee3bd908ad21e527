"""Bourn: one dataflow for sensor data, unchanged on MicroPython and CPython.

The layers; each imports only what stands before it:

    _compat, clock           the two interpreters, time
    things, scheduler        event streams, and when they run
    operators/               small functions between things
    wire, spool/             frames; the bounded, crash-safe log
    device/                  what runs on a board: sender, sensors
    hub/                     what runs on CPython: connections, journal, repositories, the live page
    testing                  a manual clock, faulty files: for your tests as for ours

The names below are loaded on first use, so that `import bourn` costs a board next to nothing.
"""

__version__ = "0.1.0"

_HOMES = {
    "Clock": "clock",
    "Chain": "things",
    "InputThing": "things",
    "Operator": "things",
    "OutputThing": "things",
    "SensorAsOutputThing": "things",
    "SensorEvent": "things",
    "each": "things",
    "Scheduler": "scheduler",
    "map": "operators.stateless",
    "where": "operators.stateless",
    "Sender": "device.sender",
}


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError("bourn has no name %r" % (name,))
    return getattr(__import__("bourn." + _HOMES[name], None, None, (name,)), name)
