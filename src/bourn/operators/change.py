"""Operators that compare an event with the one before it. They withhold nothing."""

from bourn.operators.stage import Stage, staged
from bourn.operators.value import value


class _Change(Stage):
    def __init__(self, same, key):
        self._same = same
        self._key = key
        self._began = False
        self._last = None  # the value emitted last

    def on_next(self, x):
        val = self._key(x)
        if not self._began or not self._same(val, self._last):
            self._began = True
            self._last = val
            self.emit(x)


def delta(threshold, key=value):
    """Emit the first event, then each whose value moved by at least `threshold` since the one emitted last.

    NaN counts as moved. Values that can't be subtracted raise TypeError. ValueError: a negative threshold.

    >>> marbles("1245|", delta(2), "1-4-|")
    """
    if not threshold >= 0:
        raise ValueError("a threshold is at least 0, not %r" % (threshold,))

    def same(val, last):
        return abs(val - last) < threshold

    return staged(lambda chain: _Change(same, key), "delta", (threshold,))


def distinct_until_changed(key=value):
    """Emit each event whose value is not equal to that of the event before it.

    >>> marbles("1122|", distinct_until_changed(), "1-2-|")
    """

    def same(val, last):
        return val == last

    return staged(lambda chain: _Change(same, key), "distinct_until_changed")


class _Pairwise(Stage):
    def __init__(self):
        self._began = False
        self._last = None

    def on_next(self, x):
        last = self._last
        self._last = x
        if self._began:
            self.emit((last, x))
        self._began = True


def pairwise():
    """Emit (the event before it, the event) for each event but the first.

    >>> marbles("123|", pairwise(), "-ab|", values={"a": (1, 2), "b": (2, 3)})
    """
    return staged(lambda chain: _Pairwise(), "pairwise")
