"""Events to one of several ways, by what they are."""

from bourn.ports import Port, open_ports, root_of
from bourn.things import OutputThing


class _Way(Port):
    def _change(self, branches):
        super()._change(branches)
        self._owner._used()


class Dispatcher(OutputThing):
    """What `dispatch` makes of a thing: attached to it while one of its ports has a sink."""

    def __init__(self, source, rules, policy):
        super().__init__()
        open_ports(self, [name for _, name in rules] + ["default"], _Way)
        self._source = source
        self._policy = policy
        self._rules = [(predicate, self.port(name)) for predicate, name in rules]
        self._ways = [port for _, port in self._rules] + [self]
        self._disconnect = None  # while attached

    def root(self):
        """Where operators behind a port find their planner."""
        return root_of(self._source)

    def on_next(self, x):
        """Give `x` to the port of the first rule that holds."""
        for predicate, port in self._rules:
            if predicate(x):
                port._emit(x)
                return
        self._emit(x)

    def on_completed(self):
        """The end is that of every port."""
        for port in self._ways:
            port._dispatch_completed()

    def on_error(self, e):
        """The error is that of every port."""
        for port in self._ways:
            port._dispatch_error(e)

    def _change(self, branches):
        super()._change(branches)
        self._used()

    def _used(self):
        used = False
        for port in self._ways:
            used = used or bool(port._branches)
        if used and not self._disconnect:
            self._disconnect = self._source.connect(self, self._policy)
        elif self._disconnect and not used:
            disconnect, self._disconnect = self._disconnect, None
            disconnect()


class _Dispatch:
    last = False

    def __init__(self, rules, policy):
        self._rules = rules
        self._policy = policy

    def behind(self, thing):
        """The thing with the ports."""
        return Dispatcher(thing, self._rules, self._policy)


def dispatch(rules, policy="stop"):
    """Send each event to the port of the first of `rules`, pairs (predicate, port), that holds; others to "default".

    What follows in the pipe is connected to "default"; without that the pipe returns the thing with the ports:
    `ways.port("hot")` is an OutputThing. `policy` is for what a predicate raises, as with `connect`.

    >>> thing.pipe(dispatch([(lambda x: x > 30, "hot")])).port("hot").connect(sink)
    """
    return _Dispatch(list(rules), policy)
