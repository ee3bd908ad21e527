"""The only file that knows there are two interpreters; it asks for capabilities, never for platform names.

Everything here is imported on use where it is not needed by the smallest board, so that
`things` and `scheduler` cost no more than the tick functions.
"""

import time

try:  # MicroPython: a counter that wraps (at 2**30 ms on 32-bit) and a function that knows how
    ticks_ms = time.ticks_ms
    ticks_diff = time.ticks_diff
    sleep_ms = getattr(time, "sleep_ms")  # noqa: B009 - CPython's stubs do not know it
    GENERATES = False
except AttributeError:  # CPython: a counter that does not wrap
    GENERATES = True  # there is memory for a compiler's work at run time, and code can be looked at

    def ticks_ms():
        """Monotonic milliseconds."""
        return time.monotonic_ns() // 1000000

    def ticks_diff(later, earlier):
        """Milliseconds from `earlier` to `later`."""
        return later - earlier

    def sleep_ms(ms):
        """Sleep for `ms` milliseconds."""
        time.sleep(ms / 1000)


def sleep_long(ms):
    """Sleep for `ms` milliseconds without polling: on MicroPython's unix port `sleep_ms` wakes 1600 times a second."""
    if ms < 10:
        sleep_ms(ms)
    else:
        time.sleep(ms / 1000)


# Seconds between 1970-01-01 and the port's own epoch (some boards count from 2000-01-01).
_EPOCH_S = 946684800 if time.gmtime(0)[0] == 2000 else 0


def wall_ms():
    """Milliseconds since 1970-01-01 UTC by the system's wall clock, as an integer."""
    if hasattr(time, "time_ns"):
        return time.time_ns() // 1000000 + _EPOCH_S * 1000
    return (int(time.time()) + _EPOCH_S) * 1000


def random_bytes(n):
    """`n` bytes from the operating system's random source."""
    from os import urandom

    return urandom(n)


def print_exception(e, file=None):
    """Write the traceback of `e` to `file` (default: stderr)."""
    import sys

    if hasattr(sys, "print_exception"):
        sys.print_exception(e, file or sys.stderr)
    else:
        import traceback

        traceback.print_exception(e, file=file or sys.stderr)


def threads():
    """The module `threading`, all of it; where there is none, or a stub, ImportError says what to do."""
    try:
        import threading

        threading.Condition  # noqa: B018 - a 15-line threading of the public index has none
    except (ImportError, AttributeError):
        raise ImportError("no complete `threading` here: put Bourn's stdlib/threading.py into the board's /lib")
    return threading


def runtime():
    """The interpreter's name and version, for people to read."""
    import sys

    return "%s %s" % (sys.implementation.name, ".".join([str(v) for v in sys.implementation.version[:3]]))
