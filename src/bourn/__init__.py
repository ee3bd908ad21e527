"""Bourn: one dataflow for sensor data, unchanged on MicroPython and CPython.

The layers; each imports only what stands before it:

    _compat, clock           the two interpreters, time
    things, chain            event streams; chains of operators between them
    fuse                     one generated function for a run of operators, on CPython
    batches, handover        many events at once; from thread to thread
    asyncio_bridge           asyncio in and out
    drawing                  a flow as text, or as a Mermaid flowchart
    scheduler                says when things run
    operators/               small functions between things
    wire, spool/             frames; the bounded, crash-safe log
    device/                  what runs on a board: sender, sensors
    hub/                     what runs on CPython: connections, journal, repositories, the live page
    testing/                 marbles, a manual clock, faulty files: for your tests as for ours
    thingflow/               ThingFlow's API for its programs, on CPython

The names below are loaded on first use, so that `import bourn` costs a board next to nothing.
"""

__version__ = "0.1.0"

_HOMES = {
    "AsyncEvents": "asyncio_bridge",
    "AsyncSource": "asyncio_bridge",
    "Clock": "clock",
    "Chain": "chain",
    "Handover": "handover",
    "InputThing": "things",
    "Operator": "chain",
    "OutputThing": "things",
    "SensorAsOutputThing": "things",
    "SensorEvent": "things",
    "each": "chain",
    "emit_batch": "batches",
    "Scheduler": "scheduler",
    "debounce": "operators.pace",
    "delta": "operators.change",
    "distinct_until_changed": "operators.change",
    "heartbeat": "operators.silence",
    "map": "operators.stateless",
    "pairwise": "operators.change",
    "throttle": "operators.pace",
    "timeout": "operators.silence",
    "where": "operators.stateless",
    "combine_latest": "operators.joining",
    "merge": "operators.joining",
    "with_latest_from": "operators.joining",
    "zip": "operators.joining",
    "sliding": "operators.window",
    "tumbling": "operators.window",
    "group_by": "operators.grouping",
    "retry": "operators.again",
    "outbox": "operators.outbox",
    "Sender": "device.sender",
}


# `from bourn import wire` asks here first on MicroPython; CPython looks for the module by itself.
_MODULES = (
    "asyncio_bridge",
    "batches",
    "drawing",
    "handover",
    "ring",
    "_compat",
    "chain",
    "clock",
    "operators",
    "scheduler",
    "spool",
    "testing",
    "things",
    "wire",
)


def __getattr__(name):
    home = _HOMES.get(name)
    if home:
        return getattr(__import__("bourn." + home, None, None, (name,)), name)
    if name in _MODULES:
        return __import__("bourn." + name, None, None, (name,))
    raise AttributeError("bourn has no name " + repr(name))
