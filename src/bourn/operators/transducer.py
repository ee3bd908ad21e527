"""Transducers: operators as objects with a method for an event and one for the end."""

from bourn.operators.stage import Stage, staged
from bourn.operators.statistic import statistic
from bourn.operators.value import like, value


class Transducer:
    """What `transduce` runs; override what you need. None means: no event.

    >>> marbles("-1-2-|", transduce(Transducer), "-1-2-|")
    """

    def step(self, x):
        """Take an event; returns the event to emit, or None."""
        return x

    def complete(self):
        """The stream has ended; returns a last event, or None."""
        return None


class _Transduce(Stage):
    def __init__(self, transducer):
        self._transducer = transducer

    def on_next(self, x):
        self._say(self._transducer.step(x))

    def flush(self):
        self._say(self._transducer.complete())

    def _say(self, x):
        if x is not None:
            self.emit(x)


def transduce(transducer):
    """Emit what `transducer` makes of each event and of the end.

    It is a Transducer, which then remembers over all chains that it is in; or a function (or class) without arguments
    that makes one, for each chain its own.

    >>> marbles("-1-3-5-|", transduce(lambda: SensorSlidingMean(2)), "-1-2-4-|")
    """

    def start(chain):
        return _Transduce(transducer() if callable(transducer) else transducer)

    return staged(start, "transduce", (transducer,))


class SensorSlidingMean(Transducer):
    """The mean of the latest `history_samples` values at each event; of fewer, while there are fewer.

    ValueError: a number below 1.

    >>> marbles("-1-3-5-|", transduce(SensorSlidingMean(2)), "-1-2-4-|")
    """

    def __init__(self, history_samples):
        _check(history_samples)
        self._mean = statistic("mean", history_samples, True)
        self._room = history_samples

    def step(self, x):
        """The event with the mean as its value."""
        if self._room:
            self._room -= 1
        else:
            self._mean.drop()
        self._mean.add(value(x))
        return like(x, self._mean.result())


class PeriodicMedianTransducer(Transducer):
    """The median of every `period` values, as an event like the last of them; at the end of those that are left.

    ValueError: a number below 1.

    >>> marbles("-1-3-2-|", transduce(PeriodicMedianTransducer(3)), "-----2-|")
    """

    def __init__(self, period=5):
        _check(period)
        self._median = statistic("median", period, False)
        self._period = period
        self._count = 0
        self._latest = None

    def step(self, x):
        """An event with the median, once in every `period`."""
        self._median.add(value(x))
        self._latest = x
        self._count += 1
        return self.complete() if self._count == self._period else None

    def complete(self):
        """The median of what has come since the last one."""
        if not self._count:
            return None
        median = self._median.result()
        self._median.clear()
        self._count = 0
        return like(self._latest, median)


def _check(count):
    if not isinstance(count, int) or count < 1:
        raise ValueError("a number of events is an integer of at least 1, not %r" % (count,))
