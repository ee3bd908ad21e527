"""Time as an argument: nothing in Bourn asks for the time except through a clock.

`now()` is the planner's time (unstepped, for deciding when), `wall()` is for stamping readings only;
an adjustment of the wall clock never moves a due time. `bourn.testing.ManualClock` has the same methods.
"""

from bourn._compat import sleep_long, ticks_diff, ticks_ms, wall_ms

# One sleep is at most this long, so that a wrapping tick counter is read often enough (it wraps at 2**30 ms).
LONGEST_SLEEP_MS = 1 << 28


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

    def wall(self):
        """Milliseconds since 1970-01-01 UTC, as an integer; steps when someone sets the time."""
        return wall_ms()

    def sleep(self, ms):
        """Wait `ms` milliseconds, or less: the caller looks at `now()` again."""
        sleep_long(min(ms, LONGEST_SLEEP_MS))
