"""Operators that let events through less often, and never lose the latest.

Both hold one event at most. When the stream ends, by completion or by error, they emit it first.
"""

from bourn.operators.stage import Stage, Timer, milliseconds, staged
from bourn.operators.timing import time_of


class _Pace(Stage):
    # _held means something only while _holds
    def __init__(self, chain, ms):
        self._chain = chain
        self._ms = ms
        self._holds = False
        self._held = None
        self._timer = Timer(chain, self._due)

    def _hold(self, x):
        self._holds = True
        self._held = x

    def _due(self):
        self.flush()

    def flush(self):
        self._timer.stop()
        if self._holds:
            self._holds = False
            x, self._held = self._held, None
            self.emit(x)


class _Throttle(_Pace):
    def __init__(self, chain, ms):
        super().__init__(chain, ms)
        self._until = None  # ms: the period that the last event has begun

    def on_next(self, x):
        now = time_of(self._chain)
        self._hold(x)
        if self._until is None or now >= self._until:
            self._due()
        elif not self._timer.running():
            self._timer.start(self._until - now)

    def _due(self):
        self._until = time_of(self._chain) + self._ms
        self.flush()


def throttle(s):
    """Emit at most one event per `s` seconds: one that comes too early waits, a later one takes its place.

    So the latest always arrives. It asks for a wake-up only while one waits; at the end that one is emitted.

    >>> marbles("1234--|", throttle(s=2), "1-2-4-|")
    """
    ms = milliseconds(s)
    return staged(lambda chain: _Throttle(chain, ms), "throttle", (s,))


class _Debounce(_Pace):
    def on_next(self, x):
        self._hold(x)
        self._timer.start(self._ms)


def debounce(s):
    """Emit the latest event once `s` seconds have passed without another; at the end at once.

    >>> marbles("12---3|", debounce(s=2), "---2--(3|)")
    """
    ms = milliseconds(s)
    return staged(lambda chain: _Debounce(chain, ms), "debounce", (s,))
