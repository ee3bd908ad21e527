"""Event streams: the least a board needs.

An `OutputThing` emits events to the sinks connected to it: `on_next(x)` any number of times, then at most
one of `on_completed()` or `on_error(e)`. The vocabulary and meaning are ThingFlow's. A chain is written
`thing.pipe(map(f), where(p), sink)`; it lives in `chain.py`, which is loaded when `pipe` is called.

Theory of dispatch. A *segment* is a run of operators between a source or fan-out and the next fan-out or sink. Its
operators are closures, each calling the next directly; none of them catches anything. The guard stands where the
segment begins: at a source, and at each branch of a fan-out. So an exception ends (or, by policy, skips) just the
branch it came from, is counted there, and never reaches the neighbours.

Binding is lazy. `_emit` is what takes an event: either the bound function, one closure around the segment, or `_bind`,
which makes it first. Connecting and disconnecting anywhere downstream put `_bind` back; a dispatch that is under way
goes on with what it began with. So both are legal at any point and take effect with the next event that enters the
source. Only the end of the stream cuts a dispatch short, for nothing comes after it.
"""

import sys
from collections import namedtuple

import bourn._compat as _compat  # noqa: PLR0402 - MicroPython loads names.py for `from bourn`: 2.5 KB

# One reading. `ts` is integer milliseconds since 1970-01-01 UTC (a float would lose half of it on boards with
# single precision); `val` is any JSON value, arrays included.
SensorEvent = namedtuple("SensorEvent", "sensor_id ts val")


def _goes_on(policy, thing, e):
    """What `policy` says to the exception `e`: True to go on with the next event, False to end."""
    return policy == "skip" or (policy != "stop" and policy(thing, e))


class OutputThing:
    """Emits events to the sinks connected to it, in the order in which they were connected."""

    def __init__(self, ports=None):
        # One for each connection: (a mark, the sink, what to do when it raises). The mark makes it equal to no other.
        self._branches = ()  # replaced, never changed in place: a running dispatch keeps the one it began with
        self._emit = self._bind
        self._fan = None  # the guarded functions of a fan-out, while bound
        self.scheduler = None  # who observes this thing; operators that need time ask their source for it
        self.errors = 0  # exceptions that came out of branches of this thing
        if ports:
            from bourn.ports import open_ports

            open_ports(self, ports)

    def connect(self, sink, policy="stop", port_mapping=None):
        """From the next event on `sink` receives this thing's events; returns the function that ends that.

        `sink` is an object with `on_next` (`on_completed` and `on_error` where it has them) or any callable.
        When it raises: with `policy="stop"` it is told by `on_error` and disconnected, with `"skip"` the event is
        passed over; a function `policy(thing, e)` decides by returning True to go on. `errors` counts it, and the
        other sinks are not affected. `port_mapping=(output, input)` connects named ports (ports.py).
        """
        if port_mapping:
            from bourn.ports import connect

            return connect(self, sink, policy, port_mapping)
        if not callable(getattr(sink, "on_next", sink)):
            raise TypeError("sink: callable; policy: stop, skip, callable")
        if policy != "stop" and policy != "skip" and not callable(policy):
            raise ValueError("sink: callable; policy: stop, skip, callable")
        branch = (object(), sink, policy)
        self._change(self._branches + (branch,))
        return lambda: self._detach(branch)

    def pipe(self, *stages):
        """Chain operators; with a sink as the last stage connect it and return its disconnect function.

        Without a sink the chain itself is returned: an OutputThing, bound to this one while it has sinks.
        """
        from bourn.chain import pipe

        return pipe(self, stages)

    def __str__(self):
        """The whole flow as a tree of text, for `print(thing)`."""
        from bourn.drawing import text

        return text(self)

    def to_mermaid(self):
        """The whole flow as a Mermaid flowchart."""
        from bourn.drawing import mermaid

        return mermaid(self)

    def _change(self, branches):
        self._branches = branches
        self._emit = self._bind

    def _detach(self, branch):
        if branch in self._branches:
            at = self._branches.index(branch)
            self._change(self._branches[:at] + self._branches[at + 1 :])

    def _bind(self, x):
        # The first event after a change makes the function that takes it, and the next ones.
        self._emit = self._bound()
        self._emit(x)

    def _bound(self):
        """One function for all branches, each guarded."""
        branches = self._branches
        if len(branches) == 1:
            return self._guarded(branches[0])
        fan = self._fan = list(map(self._guarded, branches))

        def emit(x):
            for take in fan:
                take(x)

        return emit

    def _guarded(self, branch):
        on_next = _target(branch)
        if hasattr(on_next, "guarded"):  # generated code (fuse.py) has the guard inside
            return on_next.guarded(self._failed, branch)

        def emit(x):
            try:
                on_next(x)
            except Exception as e:
                self._failed(branch, e)

        return emit

    def _failed(self, branch, e):
        self.errors += 1
        if branch in self._branches and not _goes_on(branch[2], self, e):
            self._detach(branch)
            self._tell(branch, e)

    def _tell(self, branch, error):
        try:
            if hasattr(branch[1], "on_error"):
                branch[1].on_error(error)
                return
        except Exception as e:
            self.errors += 1
            error = e
        _compat.print_exception(error, sys.stderr)

    def _dispatch_next(self, x):
        self._emit(x)

    def _dispatch_completed(self, error=None):
        """The one terminal event, to every branch; nothing comes after it."""
        branches = self._branches
        if self._fan:
            del self._fan[:]  # a dispatch that is under way goes no further
        self._change(())  # before anyone is told: a terminal event that causes another must find nobody
        for branch in branches:
            if error is not None:
                self._tell(branch, error)
                continue
            try:
                if hasattr(branch[1], "on_completed"):
                    branch[1].on_completed()
            except Exception as e:
                self.errors += 1
                self._tell(branch, e)

    _dispatch_error = _dispatch_completed


def _target(branch):
    """What an event of this branch is given to; a chain is bound through to its end."""
    sink = branch[1]
    if hasattr(sink, "_bind_head"):
        return sink._bind_head()
    return getattr(sink, "on_next", sink)
