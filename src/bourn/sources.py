"""Things that emit what a list, an iterator or a function has, one event whenever they are observed by a Scheduler."""

from bourn.sensor import SensorAsOutputThing
from bourn.things import OutputThing


class FunctionAsOutputThing(OutputThing):
    """Emits what `function()` returns whenever it is observed.

    When it raises: `policy` as with SensorAsOutputThing, and its counters. StopIteration ends the stream.

    >>> scheduler.schedule_periodic(FunctionAsOutputThing(lambda: 1), 60)
    """

    failures = 0
    failures_in_row = 0
    last_error = None

    def __init__(self, function, policy="stop"):
        super().__init__()
        self._take = function
        self.policy = policy

    _observe = SensorAsOutputThing._observe


class IterableAsOutputThing(FunctionAsOutputThing):
    """Emits the next element of `iterable` whenever it is observed; completes when there is none.

    >>> scheduler.schedule_periodic(IterableAsOutputThing([1, 2, 3]), 60)
    """

    def __init__(self, iterable, policy="stop"):
        iterator = iter(iterable)
        super().__init__(lambda: next(iterator), policy)


def from_iterable(iterable):
    """A thing that emits the elements of `iterable`, one at each observation.

    >>> scheduler.schedule_periodic(from_iterable(range(3)), 60)
    """
    return IterableAsOutputThing(iterable)


def from_list(elements):
    """A thing that emits the elements of a list, one at each observation.

    >>> scheduler.schedule_periodic(from_list([1, 2, 3]), 60)
    """
    return IterableAsOutputThing(elements)


def from_func(init, cond, step, selector):
    """A thing that emits `selector(x)` for x = init, step(init), step(step(init)), ... while `cond(x)` is true.

    >>> scheduler.schedule_periodic(from_func(0, lambda x: x < 10, lambda x: x + 1, str), 60)
    """

    def elements():
        x = init
        while cond(x):
            yield selector(x)
            x = step(x)

    return IterableAsOutputThing(elements())


class Never(OutputThing):
    """Emits nothing and never ends.

    >>> Never().connect(sink)
    """

    def _observe(self):
        """Nothing to see, and no end of it."""
        return True
