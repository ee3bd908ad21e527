"""Stages made of stages: several as one, several side by side, and a second way beside the first."""

from bourn.chain import Operator
from bourn.things import OutputThing


def compose(*stages):
    """Several stages, in this order, as one: operators, and a sink as the last if there is one.

    >>> marbles("-1-2-|", compose(map(lambda x: x + 1), where(lambda x: x > 2)), "---3-|")
    """
    return stages


class _Parallel:
    last = True

    def __init__(self, branches):
        self._branches = branches

    def behind(self, thing):
        """Connect every branch to `thing`; returns the function that disconnects them."""
        ends = [thing.pipe(branch) for branch in self._branches]

        def disconnect():
            for end in ends:
                end()

        return disconnect


def parallel(*branches):
    """The last stage of a pipe: every event into each of `branches`, a sink or a compose() with a sink at its end.

    They do not affect each other: what one raises ends that one.

    >>> thing.pipe(parallel(sink, compose(map(str), sink)))
    """
    for branch in branches:
        last = branch[-1] if isinstance(branch, tuple) and branch else branch
        if isinstance(last, (Operator, tuple)):
            raise TypeError("a branch ends with a sink, not with %r" % (last,))
    return _Parallel(branches)


class _Spur(OutputThing):
    """The thing that a spur is connected to. `_emit` is guarded: an exception in the spur does not come out of it."""

    def __init__(self, chain, stages, counters):
        super().__init__()
        self._before = chain
        self._counters = counters
        self._end = self.pipe(*stages)

    def root(self):
        """Where operators in the spur find their planner."""
        return self._before.root()

    def _failed(self, branch, e):
        self._counters["errors"] += 1
        super()._failed(branch, e)


def passthrough(*spur):
    """Emit each event as it came, after having given it to `spur`: a sink, or operators and a sink.

    What the spur raises ends the spur alone and is counted in `counters["errors"]`. Both end together.

    >>> marbles("-1-2-|", passthrough(map(str), sink), "-1-2-|")
    """
    counters = {"errors": 0}
    parallel(spur)  # refuses what is no branch

    def bind(state, emit, complete, fail):
        def on_next(x):
            state._emit(x)
            emit(x)

        def on_completed():
            state._dispatch_completed()
            complete()

        def on_error(e):
            state._dispatch_error(e)
            fail(e)

        return on_next, on_completed, on_error

    return Operator(
        bind,
        lambda chain: _Spur(chain, spur, counters),
        lambda state, chain: state._end,
        "passthrough",
        spur,
        counters,
    )
