"""Operators that put all events so far together into one."""

from bourn.chain import Operator
from bourn.operators.stage import Stage, staged

NONE = object()  # no event yet; None is an event like any other


def scan(f, seed=NONE):
    """Emit, for each event `x`, `f(so_far, x)`: what was emitted last, and the event.

    Without `seed` the first event is emitted as it is. `f` returns a new object; a `seed` that it changes in place
    would be shared by all chains.

    >>> marbles("-1-2-3-|", scan(lambda total, x: total + x), "-1-3-6-|")
    """

    def bind(state, emit, complete, fail):
        def on_next(x):
            so_far = state[0]
            if so_far is not NONE:
                x = f(so_far, x)
            state[0] = x
            emit(x)

        return on_next, complete, fail

    return Operator(bind, lambda chain: [seed], name="scan", args=(f,))


class _Reduce(Stage):
    def __init__(self, f, seed):
        self._f = f
        self._so_far = seed

    def on_next(self, x):
        so_far = self._so_far
        self._so_far = x if so_far is NONE else self._f(so_far, x)

    def on_completed(self):
        if self._so_far is NONE:
            self.end(ValueError("reduce: the stream has ended without an event"))
            return
        self.emit(self._so_far)
        self.end()

    def on_error(self, e):
        self.end(e)


def reduce(f, seed=NONE):
    """Emit, when the stream completes, what `scan` would have emitted last. Also called `aggregate`.

    Of an empty stream that is `seed`; without one the stream fails with ValueError. Of a stream that fails nothing is
    emitted but its error.

    >>> marbles("-1-2-3-|", reduce(lambda total, x: total + x), "-------(6|)")
    """
    return staged(lambda chain: _Reduce(f, seed), "reduce", (f,))


aggregate = reduce
