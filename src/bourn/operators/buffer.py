"""Operators that collect events into lists, by count and by time.

A period of time is half-open and stands on the planner's grid: [k * s, (k + 1) * s). An event that comes at its very
end belongs to the next one. The timer that closes a period runs only while something is held, and is due when
tasks of that interval are. When the stream ends, by completion or by error, what is held is emitted first.
"""

from bourn.operators.stage import Stage, Timer, milliseconds, staged
from bourn.operators.timing import boundary, time_of


class _Buffer(Stage):
    def __init__(self, count, bound, counters):
        self._count = count  # emit when there are so many; 0: never
        self._bound = bound  # hold no more than that; 0: any number
        self._counters = counters
        self._held = []

    def on_next(self, x):
        if self._bound and len(self._held) >= self._bound:
            self._counters["dropped"] += 1
            self._held.pop(0)
        self._held.append(x)
        if len(self._held) == self._count:
            self.flush()

    def flush(self):
        if self._held:
            held, self._held = self._held, []
            self.emit(held)


class _TimedBuffer(_Buffer):
    def __init__(self, chain, ms, count, bound, counters):
        super().__init__(count, bound, counters)
        self._chain = chain
        self._ms = ms
        self._end = 0  # ms: of the period, while something is held
        self._timer = Timer(chain, self.flush)

    def on_next(self, x):
        now = time_of(self._chain)
        if self._held and now >= self._end:
            self.flush()
        if not self._held:
            self._end = boundary(self._chain, self._ms)
            self._timer.start(self._end - now)
        super().on_next(x)

    def flush(self):
        self._timer.stop()
        super().flush()


def _checked(count):
    if not isinstance(count, int) or count < 1:
        raise ValueError("a number of events is an integer of at least 1, not %r" % (count,))


def buffer_with_count(count):
    """Emit lists of `count` events; the last one may be shorter. ValueError: a number below 1.

    >>> marbles("-1-2-3-|", buffer_with_count(2), "---a---(b|)", values={"a": [1, 2], "b": [3]})
    """
    _checked(count)
    return staged(lambda chain: _Buffer(count, 0, None), "buffer_with_count", (count,))


def buffer_with_time(s, bound=256):
    """Emit a list of the events of every `s` seconds; nothing for a period in which none came.

    At most the latest `bound` are held; others are dropped and counted in `counters["dropped"]`.

    >>> marbles("12-3-|", buffer_with_time(s=2), "--a-b|", values={"a": [1, 2], "b": [3]})
    """
    ms = milliseconds(s)
    _checked(bound)
    counters = {"dropped": 0}
    return staged(
        lambda chain: _TimedBuffer(chain, ms, 0, bound, counters), "buffer_with_time", (s,), counters=counters
    )


def buffer_with_time_or_count(s, count):
    """Emit a list of the events of every `s` seconds, and whenever there are `count`; none that is empty.

    >>> marbles("123-4-|", buffer_with_time_or_count(4, 2), "-a--b-(c|)", values={"a": [1, 2], "b": [3], "c": [4]})
    """
    ms = milliseconds(s)
    _checked(count)
    return staged(lambda chain: _TimedBuffer(chain, ms, count, 0, None), "buffer_with_time_or_count", (s, count))
