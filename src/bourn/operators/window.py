"""Windows over the latest events, by count and by time.

A window by time is half-open and stands on the common grid of the planner's epoch: [k * s, (k + 1) * s). An event that
comes at its very end belongs to the next one, whoever runs first at that moment. The timer that closes a window is due
when tasks of that interval are, so it costs no wake-up beside them, and none while nothing has come.

When the stream ends, by completion or by error, what has come since the last result is still summed up.
"""

from bourn.operators.stage import Stage, Timer, milliseconds, staged
from bourn.operators.statistic import Recent, check, keeps_values, statistic
from bourn.operators.timing import boundary, time_of
from bourn.operators.value import like, value


class _Window(Stage):
    def __init__(self, statistic, key, counters):
        self._statistic = statistic
        self._key = key
        self._counters = counters
        self._latest = None  # event, whose name and time the result gets
        self._new = 0  # events since the last result

    def on_next(self, x):
        val = self._key(x)
        if val is None or val != val:  # noqa: PLR0124 - only NaN differs from itself
            self._counters["skipped"] += 1
        else:
            self._take(x, val)

    def _add(self, x, val):
        self._statistic.add(val)
        self._latest = x
        self._new += 1

    def _say(self):
        self._new = 0
        self.emit(like(self._latest, self._statistic.result()))

    def flush(self):
        if self._new:
            self._say()


class _TumblingCount(_Window):
    def __init__(self, statistic, key, counters, count):
        super().__init__(statistic, key, counters)
        self._count = count

    def _take(self, x, val):
        if self._new == 0:
            self._statistic.clear()
        self._add(x, val)
        if self._new == self._count:
            self._say()


class _TumblingTime(_Window):
    def __init__(self, statistic, key, counters, chain, ms, bound):
        super().__init__(statistic, key, counters)
        self._chain = chain
        self._ms = ms
        self._bound = bound  # 0: the statistic keeps no values
        self._end = 0  # ms: of the window that is open, while _new
        self._timer = Timer(chain, self.flush)

    def _take(self, x, val):
        now = time_of(self._chain)
        if self._new and now >= self._end:
            self.flush()
        if self._new == 0:
            self._statistic.clear()
            self._end = boundary(self._chain, self._ms)
            self._timer.start(self._end - now)
        elif self._bound and self._new >= self._bound:
            self._statistic.drop()
            self._counters["dropped"] += 1
        self._add(x, val)

    def flush(self):
        self._timer.stop()
        super().flush()


class _SlidingCount(_Window):
    def __init__(self, statistic, key, counters, count, every):
        super().__init__(statistic, key, counters)
        self._count = count
        self._every = every
        self._n = 0

    def _take(self, x, val):
        if self._n == self._count:
            self._statistic.drop()
        else:
            self._n += 1
        self._add(x, val)
        if self._new == self._every:
            self._say()


class _SlidingTime(_Window):
    def __init__(self, statistic, key, counters, chain, ms, every, bound):
        super().__init__(statistic, key, counters)
        self._chain = chain
        self._ms = ms
        self._every = every  # ms; None: at each event
        self._times = Recent(bound)  # when the events of the window came
        self._end = 0  # ms: the next result, while the timer runs
        self._timer = Timer(chain, self._close)

    def _take(self, x, val):
        now = time_of(self._chain)
        if self._timer.running() and now >= self._end:
            self._close()
        if self._every is None:
            self._forget(now - self._ms + 1)
        if self._times.n == self._times.bound:
            self._drop()
            self._counters["dropped"] += 1
        self._times.push(now)
        self._add(x, val)
        if self._every is None:
            self._say()
        elif not self._timer.running():
            self._wait()

    def _wait(self):
        self._end = boundary(self._chain, self._every)
        self._timer.start(self._end - time_of(self._chain))

    def _close(self):
        self._timer.stop()
        self._forget(self._end - self._ms)
        if self._times.n:
            self._wait()
            self._say()

    def _forget(self, before):
        while self._times.n and self._times.get(0) < before:
            self._drop()

    def _drop(self):
        self._times.pop()
        self._statistic.drop()

    def flush(self):
        self._timer.stop()
        super().flush()


def _check(name, count, s, bound):
    check(name)
    if (count is None) == (s is None):
        raise ValueError("a window has either count= or s=")
    for n in (bound,) if count is None else (count, bound):
        if not isinstance(n, int) or n < 1:
            raise ValueError("a number of events is an integer of at least 1, not %r" % (n,))


def tumbling(name, count=None, s=None, key=value, bound=256):
    """Emit one statistic of every `count` values, or of those of every `s` seconds, each value in one window.

    `name` is "min", "max", "mean", "median", "last", "p95" (a quantile: any number of percent) or a function of a list.
    Windows of time lie on the planner's grid and are half-open; one in which nothing came emits nothing. Where values
    have to be kept (median, quantile, function) these are the latest `bound` of a time; others are dropped and
    counted in `counters["dropped"]`. None and NaN are left out and counted in "skipped". The last window is cut
    short by the end of the stream.

    >>> marbles("13-5-|", tumbling("mean", s=2), "--2-5|")
    """
    _check(name, count, s, bound)
    counters = {"dropped": 0, "skipped": 0}
    if count is None:
        ms = milliseconds(s)
        kept = bound if keeps_values(name) else 0

        def start(chain):
            return _TumblingTime(statistic(name, bound, False), key, counters, chain, ms, kept)
    else:

        def start(chain):
            return _TumblingCount(statistic(name, count, False), key, counters, count)

    return staged(start, "tumbling", (name, count or s), counters=counters)


def sliding(name, count=None, s=None, every=None, key=value, bound=256):
    """Emit at each event a statistic of the latest `count` values, or of those of the last `s` seconds.

    Names as for `tumbling`. A window is not waited for: the first result is that of the first value. By time
    it is half-open: what is exactly `s` seconds old is out. With `every` a result comes at each `every`-th event, or
    every `every` seconds on the planner's grid while there is something in the window: then over [end - s, end).
    At most `bound` values of a time are kept, the latest; others are dropped and counted in `counters["dropped"]`.
    None and NaN are left out and counted in "skipped".

    >>> marbles("41-2|", sliding("max", s=2), "44-2|")
    """
    _check(name, count, s, bound)
    counters = {"dropped": 0, "skipped": 0}
    if count is None:
        ms = milliseconds(s)
        hop = None if every is None else milliseconds(every)

        def start(chain):
            return _SlidingTime(statistic(name, bound, True), key, counters, chain, ms, hop, bound)
    else:
        hop = 1 if every is None else every
        _check(name, hop, None, bound)

        def start(chain):
            return _SlidingCount(statistic(name, count, True), key, counters, count, hop)

    return staged(start, "sliding", (name, count or s), counters=counters)
