"""Trying again after a failure: how long to wait, and the operator that attaches anew to a source that has failed."""

from bourn._compat.system import random_bytes
from bourn.operators.stage import Stage, Timer, milliseconds, staged


class Backoff:
    """Pauses in ms: doubled with each failure up to a cap, and of each a random half, so that a fleet spreads."""

    def __init__(self, ms, cap_ms, random):
        self._ms = ms
        self._cap_ms = cap_ms
        self._random = random
        self.failures = 0  # since the last success, which sets it to 0

    def pause(self):
        """Count a failure; how long to wait after it."""
        pause = min(self._cap_ms, self._ms << min(self.failures, 16))
        self.failures += 1
        return pause // 2 + int.from_bytes(self._random(2), "big") * (pause - pause // 2) // 65535


class _Retry(Stage):
    def __init__(self, chain, times, backoff, again, counters):
        self._chain = chain
        self._times = times
        self._backoff = backoff
        self._again = again
        self._counters = counters
        self._timer = Timer(chain, self._attach)

    def on_next(self, x):
        self._backoff.failures = 0
        self.emit(x)

    def on_error(self, e):
        if self._times is not None and self._backoff.failures >= self._times:
            self.end(e)
            return
        try:
            self._timer.start(self._backoff.pause())
            self._counters["retries"] += 1
        except RuntimeError as missing:  # no planner
            self.end(RuntimeError("%s (it was needed after %r)" % (missing, e)))

    def _attach(self):
        try:
            self._chain.attach()
            if self._again:
                self._again()
        except Exception as e:
            self._chain.detach()
            self.on_error(e)

    def flush(self):
        self._timer.stop()


def retry(times=None, s=1, cap_s=60, again=None, random=random_bytes):
    """Attach anew to what stands before it when that has failed, instead of passing the error on.

    It waits `s` seconds first, twice as long after each failure in a row, at most `cap_s`, and of that a random half.
    After `times` failures in a row (None: never) the error goes on; an event ends the row. Operators before it begin
    anew; those after it notice nothing, and what they raise is a failure too. `again()` is called after attaching: a
    sensor that has failed is not sampled any more until it is scheduled again. Completion passes. `counters` has
    "retries". ValueError: a time below 1 ms. `random(n)` returns n bytes.

    >>> marbles("1#--2|", retry(times=5), "1---2|")
    """
    ms = milliseconds(s)
    cap_ms = milliseconds(cap_s)
    counters = {"retries": 0}
    return staged(
        lambda chain: _Retry(chain, times, Backoff(ms, cap_ms, random), again, counters),
        "retry",
        (times,),
        counters=counters,
        first=True,
    )
