"""What MicroPython has built in and CPython has not."""

import time
import traceback

GENERATES = True  # there is memory for a compiler's work at run time, and code can be looked at


def ticks_ms():
    """Monotonic milliseconds; this counter does not wrap."""
    return time.monotonic_ns() // 1000000


def ticks_diff(later, earlier):
    """Milliseconds from `earlier` to `later`."""
    return later - earlier


def sleep_ms(ms):
    """Sleep for `ms` milliseconds."""
    time.sleep(ms / 1000)


def print_exception(e, file):
    """Write the traceback of `e` to `file`."""
    traceback.print_exception(e, file=file)
