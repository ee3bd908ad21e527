"""Time as an argument: nothing in Bourn asks for the time except through a clock.

`now()` is the planner's time (unstepped, for deciding when), `wall()` is for stamping readings only;
an adjustment of the wall clock never moves a due time. `bourn.testing.ManualClock` has the same methods.
"""

from bourn._compat import Clock  # the real one; made there, so that the smallest board loads a module less

__all__ = ("LONGEST_SLEEP_MS", "Clock")

# One sleep is at most this long, so that a wrapping tick counter is read often enough (it wraps at 2**30 ms).
LONGEST_SLEEP_MS = 1 << 28
