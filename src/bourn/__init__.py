"""Bourn: one dataflow for sensor data, unchanged on MicroPython and CPython.

The layers; each imports only what stands before it:

    _compat, clock           the two interpreters, time
    things, chain            event streams; chains of operators between them
    sensor                   a sensor as a source
    ports                    named ports: further ways out of a thing, and into one
    sources                  things that emit what a list or a function has
    fuse                     one generated function for a run of operators, on CPython
    batches, handover        many events at once; from thread to thread
    asyncio_bridge           asyncio in and out
    scheduler, grid          say when things run
    operators/               small functions between things
    policy                   what to do when a sensor fails
    wire, spool/             frames; the bounded, crash-safe log
    device/                  what runs on a board: sender, sensors
    hub/                     what runs on CPython: connections, journal, repositories, the live page
    testing/                 marbles, a manual clock, faulty files: for your tests as for ours
    thingflow/               ThingFlow's API for its programs, on CPython

The names below are loaded on first use, so that `import bourn` costs a board next to nothing.
"""

__version__ = "0.1.0"


def __getattr__(name):
    from bourn.names import found  # beside this file, so that a board that asks for no name here does not hold them

    return found(name)
