"""Event streams: the least a board needs.

An `OutputThing` emits events to the sinks connected to it: `on_next(x)` any number of times, then at most
one of `on_completed()` or `on_error(e)`. The vocabulary and meaning are ThingFlow's. A chain is written
`thing.pipe(map(f), where(p), sink)`.

Theory of dispatch. A *segment* is a run of operators between a source or fan-out and the next fan-out or
sink. Its operators are closures, each calling the next directly; none of them catches anything. The guard
stands where the segment begins: at a source, and at each branch of a fan-out. So an exception ends (or, by
policy, skips) just the branch it came from, is counted there, and never reaches the neighbours.
Connecting and disconnecting replace the tuple of branches; a dispatch goes on with the tuple it began with,
so both are legal at any point and take effect with the next event.
"""

from collections import namedtuple

from bourn import _compat
from bourn.clock import Clock

# One reading. `ts` is integer milliseconds since 1970-01-01 UTC (a float would lose half of it on boards with
# single precision); `val` is any JSON value, arrays included.
SensorEvent = namedtuple("SensorEvent", ("sensor_id", "ts", "val"))


class InputThing:
    """Receives events; override what you need."""

    def on_next(self, x):
        """Take one event."""

    def on_completed(self):
        """The stream has ended; nothing comes after."""

    def on_error(self, e):
        """The stream has ended with the exception `e`; by default its traceback goes to stderr."""
        _compat.print_exception(e)


class Operator:
    """One stage of a chain: `bind(on_next, on_completed, on_error)` returns the three functions before these.

    Whatever state it has is made in `bind`, so that one operator may be used in several chains.
    """

    def __init__(self, bind):
        self.bind = bind


def each(make):
    """An operator over `on_next` alone: `make(emit)` returns the function that takes an event and may call `emit`."""
    return Operator(lambda on_next, on_completed, on_error: (make(on_next), on_completed, on_error))


class _Branch:
    def __init__(self, on_next, on_completed, on_error, policy):
        self.on_next = on_next
        self.on_completed = on_completed
        self.on_error = on_error
        self.policy = policy


def _nothing():
    pass


class OutputThing:
    """Emits events to the sinks connected to it, in the order in which they were connected."""

    def __init__(self):
        self._branches = ()  # replaced, never changed in place: a running dispatch keeps the one it began with
        self.errors = 0  # exceptions that came out of branches of this thing

    def connect(self, sink, policy="stop"):
        """From the next event on `sink` receives this thing's events; returns the function that ends that.

        `sink` is an object with `on_next` (`on_completed` and `on_error` where it has them) or any callable.
        When it raises: with `policy="stop"` it is told by `on_error` and disconnected, with `"skip"` the event is
        passed over. Either way `errors` counts it and the other sinks are not affected.
        """
        if policy not in ("stop", "skip"):
            raise ValueError("policy must be 'stop' or 'skip', not %r" % (policy,))
        on_next = getattr(sink, "on_next", None)
        if on_next is None:
            if not callable(sink):
                raise TypeError("a sink needs on_next() or must be callable: %r" % (sink,))
            on_next = sink
        return self._attach(
            on_next,
            getattr(sink, "on_completed", _nothing),
            getattr(sink, "on_error", _compat.print_exception),
            policy,
        )

    def pipe(self, *stages):
        """Chain operators; with a sink as the last stage connect it and return its disconnect function.

        Without a sink the chain itself is returned: an OutputThing, bound to this one while it has sinks.
        """
        thing = self
        if stages and isinstance(stages[0], Operator):
            count = 0
            while count < len(stages) and isinstance(stages[count], Operator):
                count += 1
            thing = Chain(self, stages[:count])
            stages = stages[count:]
        if not stages:
            return thing
        if len(stages) > 1:
            raise TypeError("a sink is the last stage of a pipe: %r is followed by more" % (stages[0],))
        return thing.connect(stages[0])

    def _attach(self, on_next, on_completed, on_error, policy):
        branch = _Branch(on_next, on_completed, on_error, policy)
        self._branches += (branch,)

        def disconnect():
            self._detach(branch)

        return disconnect

    def _detach(self, branch):
        self._branches = tuple([b for b in self._branches if b is not branch])

    def _failed(self, branch, e):
        self.errors += 1
        if branch.policy == "stop":
            self._detach(branch)
            branch.on_error(e)

    def _dispatch_next(self, x):
        for branch in self._branches:
            try:
                branch.on_next(x)
            except Exception as e:
                self._failed(branch, e)

    def _dispatch_completed(self):
        branches = self._branches
        self._branches = ()  # first: a terminal event that causes another must find nobody
        for branch in branches:
            try:
                branch.on_completed()
            except Exception as e:
                self.errors += 1
                branch.on_error(e)

    def _dispatch_error(self, error):
        branches = self._branches
        self._branches = ()
        for branch in branches:
            try:
                branch.on_error(error)
            except Exception as e:
                self.errors += 1
                _compat.print_exception(e)


class Chain(OutputThing):
    """Operators over a source, shared by all sinks of the chain; bound while there is at least one sink."""

    def __init__(self, source, operators):
        super().__init__()
        self._source = source
        self._operators = operators
        self._unbind = None

    def _attach(self, on_next, on_completed, on_error, policy):
        disconnect = super()._attach(on_next, on_completed, on_error, policy)
        if self._unbind is None:
            head = (self._dispatch_next, self._dispatch_completed, self._dispatch_error)
            for operator in reversed(self._operators):
                head = operator.bind(*head)
            self._unbind = self._source._attach(head[0], head[1], head[2], policy)
        return disconnect

    def _detach(self, branch):
        super()._detach(branch)
        if not self._branches and self._unbind:
            unbind = self._unbind
            self._unbind = None
            unbind()

    def _dispatch_next(self, x):
        branches = self._branches
        if len(branches) == 1:  # no fan-out, so the segment goes on and the guard is the source's
            branches[0].on_next(x)
        else:
            super()._dispatch_next(x)


class SensorAsOutputThing(OutputThing):
    """Samples a sensor (`sensor_id`, `sample()`) whenever it is observed, and emits a SensorEvent.

    When `sample` raises: with `policy="stop"` the stream ends with `on_error`, with `"skip"` that sample is left out;
    `failures` counts both and `last_error` keeps the latest. StopIteration ends the stream with `on_completed`.
    """

    def __init__(self, sensor, clock=None, policy="stop"):
        super().__init__()
        self.sensor = sensor
        self.clock = clock or Clock()
        self.policy = policy
        self.failures = 0
        self.last_error = None

    def _observe(self):
        """Take one sample and emit it; False when the stream has ended."""
        try:
            val = self.sensor.sample()
        except StopIteration:
            self._dispatch_completed()
            return False
        except Exception as e:
            self.failures += 1
            self.last_error = e
            if self.policy == "skip":
                return True
            self._dispatch_error(e)
            return False
        self._dispatch_next(SensorEvent(self.sensor.sensor_id, self.clock.wall(), val))
        return True
