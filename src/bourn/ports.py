"""Named ports: further ways out of a thing, and into one. Loaded when someone uses them.

A named output port is an OutputThing of its own, which emits when its owner says so. A named input port P of a sink is
its methods `on_P_next(x)`, `on_P_completed()` and `on_P_error(e)`. The port "default" is the thing, or the sink,
itself.
"""

from bourn.things import OutputThing

DEFAULT = "default"


class Port(OutputThing):
    """A named way out of the thing `owner`."""

    def __init__(self, owner):
        super().__init__()
        self._owner = owner

    def root(self):
        """Where operators behind the port find their planner."""
        return root_of(self._owner)


def root_of(thing):
    """The thing at the beginning of the chains and ports that lead to `thing`."""
    return thing.root() if hasattr(thing, "root") else thing


class InputPort:
    """A sink that gives to the named port of another sink."""

    def __init__(self, sink, name):
        self.on_next = getattr(sink, "on_%s_next" % name)
        self.on_completed = getattr(sink, "on_%s_completed" % name)
        self.on_error = getattr(sink, "on_%s_error" % name)


def open_ports(thing, names, kind=Port):
    """Give `thing` the ports `names`; what `OutputThing(ports=names)` does.

    `thing.port(name)` is a port. `thing._dispatch_next(x, port=name)`, `_dispatch_completed(port=name)` and
    `_dispatch_error(e, port=name)` emit from it. Without "default" among the names nothing can be connected to that.
    """
    ports = {}
    for name in names:
        if name not in ports:
            ports[name] = thing if name == DEFAULT else kind(thing)
    end = thing._dispatch_completed  # as the class has it

    def port(name=DEFAULT):
        if name not in ports:
            raise ValueError("there is no port %r; there are %s" % (name, ", ".join(sorted(ports))))
        return ports[name]

    def refuse(branches):
        if branches:
            port()

    def dispatch_next(x, port=DEFAULT):
        ports[port]._emit(x)

    def dispatch_completed(port=DEFAULT):
        return end() if port == DEFAULT else ports[port]._dispatch_completed()

    def dispatch_error(e, port=DEFAULT):
        return end(e) if port == DEFAULT else ports[port]._dispatch_error(e)

    thing.port = port
    thing._dispatch_next = dispatch_next
    thing._dispatch_completed = dispatch_completed
    thing._dispatch_error = dispatch_error
    if DEFAULT not in ports:
        thing._change = refuse


def connect(thing, sink, policy, mapping):
    """Connect the port `mapping[0]` of `thing` to the port `mapping[1]` of `sink`; returns the disconnect function."""
    out, into = mapping
    if out != DEFAULT:
        if not hasattr(thing, "port"):
            raise ValueError("%r has no named ports" % (type(thing).__name__,))
        thing = thing.port(out)
    return thing.connect(sink if into == DEFAULT else InputPort(sink, into), policy)
