"""What to do when something fails, beyond "stop" and "skip": functions `policy(thing, e)`, True to go on."""

from bourn._compat.system import random_bytes
from bourn.operators.again import Backoff
from bourn.operators.stage import milliseconds


class Retry:
    """Observe a sensor again when it failed, after a pause; end its stream after more than `n` failures in a row.

    The pause is `s` seconds, twice as long after each further failure, at most `cap_s`, and of that a random half.
    Samples on schedule go on meanwhile, and count: a pause is never longer than the interval. A success ends the row.
    As the policy of a sink it passes over `n` events in all. `random(n)` returns n bytes.

    >>> SensorAsOutputThing(sensor, policy=Retry(3, s=0.5))
    """

    def __init__(self, n, s=1, cap_s=60, random=random_bytes):
        if n < 0:
            raise ValueError("a number of retries is at least 0, not %r" % (n,))
        self._n = n
        self._backoff = Backoff(milliseconds(s), milliseconds(cap_s), random)

    def __call__(self, thing, e):
        row = getattr(thing, "failures_in_row", None)
        if row is None:
            return thing.errors <= self._n
        if row > self._n:
            return False
        self._backoff.failures = row - 1
        pause = self._backoff.pause()

        def again():
            # Not if a sample on schedule has come before: it has succeeded, or made a pause of its own.
            if thing.failures_in_row == row and thing._observe() is False:
                thing._cancel()

        if thing.scheduler:
            thing.scheduler.schedule_later_one_time(again, pause / 1000)
        return True
