"""The only folder that knows there are two interpreters; it asks for capabilities, never for platform names.

Here is what `things` and `scheduler` need on the smallest board, and no more, for each module costs it some 300 bytes:
MicroPython's own functions as they are (CPython has `substitutes.py`), and the clock that is made of them. `system.py`
and `files.py` are imported by whom they serve.
"""

import time

# MicroPython's compiler knows `_NAME = const(1)`: it puts the 1 where the name stands, and leaves no name and no call.
const = int

try:  # MicroPython: a counter that wraps (at 2**30 ms on 32-bit) and a function that knows how
    from sys import print_exception  # (e, file): the traceback; without a file it is not stderr
    from time import sleep_ms, ticks_diff, ticks_ms
except ImportError:  # CPython
    from bourn._compat.substitutes import GENERATES, print_exception, sleep_ms, ticks_diff, ticks_ms  # noqa: F401 - for others


# Milliseconds between 1970-01-01 and the port's own epoch (some boards count from 2000-01-01).
_EPOCH_MS = 946684800000 if time.gmtime(0)[0] == 2000 else 0


class Clock:
    """The real time of this machine. One clock belongs to one thread: the one that runs its scheduler."""

    def __init__(self):
        self._ticks = ticks_ms()
        self._now = 0  # the sum of all tick differences: it never wraps, whatever the counter does

    def now(self):
        """Milliseconds since this clock was made: an integer that never goes back and ignores the wall clock."""
        ticks = ticks_ms()
        self._now += ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._now

    def advance(self, ms):
        """`ms` milliseconds have passed that the counter has not seen: a sleep in which it stood still."""
        self._now += ms

    # Milliseconds since 1970-01-01 UTC, as an integer; steps when someone sets the time.
    if hasattr(time, "time_ns"):

        def wall(self):
            """The system's wall clock."""
            return time.time_ns() // 1000000 + _EPOCH_MS

    else:

        def wall(self):
            """The same on a board that knows whole seconds only."""
            return int(time.time()) * 1000 + _EPOCH_MS

    def sleep(self, ms):
        """Wait `ms` milliseconds, or less: the caller looks at `now()` again."""
        if ms < 10:
            sleep_ms(ms)
        else:  # does not poll: on MicroPython's unix port `sleep_ms` wakes 1600 times a second
            time.sleep(min(ms, 1 << 28) / 1000)  # the counter is to be read again before it wraps
