"""Time as an argument: nothing in Bourn asks for the time except through a clock.

`now()` is the planner's time (unstepped, for deciding when), `wall()` is for stamping readings only;
an adjustment of the wall clock never moves a due time. `bourn.testing.ManualClock` has the same methods.
"""

from bourn._compat import Clock  # the real one; made there, so that the smallest board loads a module less

__all__ = ("LONGEST_SLEEP_MS", "RELATIVE", "Clock", "is_relative")

# One sleep is at most this long, so that a wrapping tick counter is read often enough (it wraps at 2**30 ms).
LONGEST_SLEEP_MS = 1 << 28

# A stamp that was made before the time was known: RELATIVE + ms since the clock began. No date has such a number (it is
# 140,000 years before 1970), and it is an integer like any other, for flow, outbox and JSON.
RELATIVE = -(1 << 52)


def is_relative(ts):
    """Whether the stamp `ts` was made before the time was known."""
    return ts < RELATIVE // 2
