"""Things with named ports, and filters: ThingFlow's classes over Bourn's things.

Each output port is one of Bourn's things, so dispatch, isolation and lazily bound connections are the core's. Two
things are added: an exception that a program of ThingFlow expects to end everything (FatalError, and a failed
assertion, so that tests written as input things can fail) comes out of the dispatch, and a dispatch in another thread
is handed to the event loop.
"""

from __future__ import annotations

import logging

from bourn import things
from bourn.thingflow import drawing
from bourn.thingflow.errors import ExcInDispatch, FatalError, InvalidPortError, PortAlreadyClosed, UnknownPortError

logger = logging.getLogger("bourn.thingflow")


def method_name(event, port):
    """The name of the method that takes `event` ("next", "completed" or "error") on `port`."""
    return f"on_{event}" if port is None or port == "default" else f"on_{port}_{event}"


def do_nothing(*args):
    """Take whatever comes."""


class InputThing:
    """The default input port; a port named P has `on_P_next`, `on_P_completed` and `on_P_error` instead."""

    def on_next(self, x):
        """Take one event."""

    def on_error(self, e):
        """The stream has ended with the exception `e`."""

    def on_completed(self):
        """The stream has ended."""


class CallableAsInputThing:
    """Functions as an input thing; without `on_error` an error is logged, and a FatalError raised."""

    def __init__(self, on_next=None, on_error=None, on_completed=None, port=None):
        self._on_next = on_next or do_nothing
        setattr(self, method_name("next", port), self._on_next)
        setattr(self, method_name("error", port), on_error or self._report)
        setattr(self, method_name("completed", port), on_completed or do_nothing)

    def _report(self, e):
        if isinstance(e, FatalError):
            raise e
        logger.error("%s: Received on_error(%s)", self, e)

    def __str__(self):
        return f"CallableAsInputThing({self._on_next})"


class Connection:
    """One connection, as a sink of the core: three functions, the input thing they belong to, and its port."""

    __slots__ = ("input_port", "input_thing", "on_completed", "on_error", "on_next")

    def __init__(self, input_thing, input_port):
        self.input_thing = input_thing
        self.input_port = input_port
        self.on_next = getattr(input_thing, method_name("next", input_port))
        self.on_completed = getattr(input_thing, method_name("completed", input_port))
        self.on_error = getattr(input_thing, method_name("error", input_port))

    def __str__(self):
        return f"_Connection({self.input_thing},{self.input_port})"

    __repr__ = __str__


class _Sink:
    """What the core sees of a connection: its terminal events never raise, but leave what is fatal with the port."""

    def __init__(self, port, connection):
        self.port = port
        self.connection = connection

    @property
    def on_next(self):
        return self.connection.on_next

    def on_completed(self):
        self._end(self.connection.on_completed)

    def on_error(self, e):
        self._end(self.connection.on_error, e)

    def _end(self, function, *args):
        try:
            function(*args)
        except Exception as e:
            self.port.keep_fatal(self.connection, e)

    def policy(self, thing, e):
        """The core asks whether to go on after `e`; what is fatal goes up from here, through the dispatch."""
        self.port.raise_fatal(self.connection, e)
        self.port.forget(self)
        return False


class Port:
    """One output port."""

    def __init__(self, owner, name):
        self.owner = owner
        self.name = name
        self.thing = things.OutputThing()
        self.sinks: tuple[_Sink, ...] = ()
        self.fatal: FatalError | None = None  # of a terminal event; raised when the dispatch that caused it is over

    def connect(self, connection):
        """Add a connection; returns the function that ends it, which may be called at any time and more than once."""
        sink = _Sink(self, connection)
        disconnect = self.thing.connect(sink, sink.policy)
        self.sinks = (*self.sinks, sink)

        def end():
            self.forget(sink)
            disconnect()

        return end

    def forget(self, sink):
        """This connection has ended."""
        self.sinks = tuple(one for one in self.sinks if one is not sink)

    def bind_anew(self):
        """Someone has changed the functions of a connection."""
        self.thing._change(self.thing._branches)

    def next(self, x):
        """Give `x` to every connection."""
        self.thing._emit(x)
        if self.fatal:
            self._raise()

    def end(self, error=None):
        """The terminal event."""
        self.sinks = ()
        if error is None:
            self.thing._dispatch_completed()
        else:
            self.thing._dispatch_error(error)
        if self.fatal:
            self._raise()

    def raise_fatal(self, connection, e):
        """Raise `e` where it is fatal, else log it."""
        if isinstance(e, FatalError):
            raise e
        where = f"InputThing {connection.input_thing} from OutputThing {self.owner}"
        if isinstance(e, AssertionError):
            raise ExcInDispatch(f"Failed assertion when dispatching to {where}: {e}") from e
        logger.error("Disconnected after an exception: %s", where, exc_info=e)

    def keep_fatal(self, connection, e):
        """As raise_fatal, but raise when the dispatch is over: the neighbours are told first."""
        try:
            self.raise_fatal(connection, e)
        except FatalError as fatal:
            self.fatal = self.fatal or fatal

    def _raise(self):
        fatal, self.fatal = self.fatal, None
        assert fatal is not None
        raise fatal


class OutputThing:
    """Emits events on its ports: on "default", or on those named in `ports`.

    The filters are methods of this class, each attached when the module that defines it is imported.
    """

    def __init__(self, ports=None):
        self._ports = {name: Port(self, name) for name in (("default",) if ports is None else ports)}
        self._closed_ports = set()
        self.__enqueue_fn__ = None

    def connect(self, input_thing, port_mapping=None):
        """Connect `input_thing`, or any callable; returns the function that disconnects it.

        `port_mapping` is (port of this thing, port of the input thing), both "default" without it.
        InvalidPortError where one has no such port.
        """
        output_port, input_port = port_mapping or ("default", "default")
        port = self._ports.get(output_port)
        if port is None:
            valid = ", ".join(sorted(map(str, self._ports)))
            raise InvalidPortError(f"Invalid publish port '{output_port}', valid ports are {valid}")
        if not hasattr(input_thing, method_name("next", input_port)) and callable(input_thing):
            input_thing = CallableAsInputThing(input_thing, port=input_port)
        try:
            connection = Connection(input_thing, input_port)
        except AttributeError as e:
            message = f"Invalid input port '{input_port}', missing method(s) on InputThing {input_thing}: {e}"
            raise InvalidPortError(message) from e
        return port.connect(connection)

    def subscribe(self, subscriber, topic_mapping=None):
        """AntEvents' name of `connect`."""
        return self.connect(subscriber, topic_mapping)

    def pipe(self, *stages):
        """As Bourn's `pipe`, on the default port: for operators that ThingFlow does not have."""
        return self._port(None).thing.pipe(*stages)

    @property
    def __connections__(self):
        return {name: [sink.connection for sink in port.sinks] for name, port in self._ports.items()}

    def _port(self, name):
        name = "default" if name is None else name
        port = self._ports.get(name)
        if port is None:
            if name in self._closed_ports:
                raise PortAlreadyClosed(f"Port '{name}' on OutputThing {self} already had its last event")
            raise UnknownPortError(f"Unknown port '{name}' in OutputThing {self}")
        return port

    def _has_connections(self):
        return any(port.sinks or port.thing._branches for port in self._ports.values())

    def _schedule(self, enqueue_fn):
        self.__enqueue_fn__ = enqueue_fn

    def _dispatch_next(self, x, port=None):
        output = self._port(port)
        if self.__enqueue_fn__:
            self.__enqueue_fn__(output.next, x)
        else:
            output.next(x)

    def _dispatch_completed(self, port=None):
        self._dispatch_end(port)

    def _dispatch_error(self, e, port=None):
        self._dispatch_end(port, e)

    def _dispatch_end(self, port, *error):
        output = self._port(port)
        # Closed before anyone is told: an input thing that has this one end again must find nobody.
        del self._ports[output.name]
        self._closed_ports.add(output.name)
        if self.__enqueue_fn__:
            self.__enqueue_fn__(output.end, *error)
        else:
            output.end(*error)

    def print_downstream(self):
        """Print every path that leads away from this thing."""
        drawing.print_downstream(self)

    def trace_downstream(self):
        """From now on print each event of this thing and of all things after it."""
        drawing.trace_downstream(self)

    def pp_connections(self):
        """Print the connections of this thing."""
        drawing.print_connections(self)

    pp_subscribers = pp_connections  # AntEvents' name

    def __str__(self):
        return f"{type(self).__name__}()"


class Filter(OutputThing, InputThing):
    """One input and one output; what is not overridden passes events on."""

    def __init__(self, previous_in_chain):
        super().__init__()
        self.disconnect_from_upstream = previous_in_chain.connect(self)

    def on_next(self, x):
        """Pass `x` on."""
        self._dispatch_next(x)

    def on_error(self, e):
        """Pass the error on."""
        self._dispatch_error(e)

    def on_completed(self):
        """Pass the end on."""
        self._dispatch_completed()

    def _failed(self, e, x):
        """An exception of this filter's own code ends its stream; a FatalError goes up."""
        if isinstance(e, FatalError):
            raise e
        logger.error("Got an exception on %s.on_next(%s)", self, x, exc_info=e)
        self.disconnect_from_upstream()
        self.on_error(e)


class XformOrDropFilter(Filter):
    """Subclasses implement `_filter(x)`, which returns what to emit (None: nothing), and `_complete()`.

    An exception in `_filter` ends the stream by `on_error`.
    """

    def on_next(self, x):
        """Emit what `_filter(x)` returns."""
        try:
            y = self._filter(x)
        except Exception as e:
            self._failed(e, x)
            return
        if y is not None:
            self._dispatch_next(y)

    def _filter(self, x):
        return x

    def _complete(self):
        """What was held back and is to be emitted before the end, or None."""
        return None

    def _flush(self):
        x = self._complete()
        if x is not None:
            self._dispatch_next(x)

    def on_error(self, e):
        """Emit what was held back, then the error."""
        self._flush()
        self._dispatch_error(e)

    def on_completed(self):
        """Emit what was held back, then the end."""
        self._flush()
        self._dispatch_completed()


class FunctionFilter(Filter):
    """A filter made of functions `on_next(self, x)`, `on_completed(self)`, `on_error(self, e)`; each may be left out.

    An exception in `on_next` ends the stream by `on_error`.
    """

    def __init__(self, previous_in_chain, on_next=None, on_completed=None, on_error=None, name=None):
        self._on_next = on_next
        self._on_error = on_error
        self._on_completed = on_completed
        if name:
            self.name = name
        super().__init__(previous_in_chain)

    def on_next(self, x):
        """Call the function, or pass `x` on."""
        try:
            if self._on_next:
                self._on_next(self, x)
            else:
                self._dispatch_next(x)
        except Exception as e:
            self._failed(e, x)

    def on_error(self, e):
        """Call the function, or pass the error on."""
        if self._on_error:
            self._on_error(self, e)
        else:
            self._dispatch_error(e)

    def on_completed(self):
        """Call the function, or pass the end on."""
        if self._on_completed:
            self._on_completed(self)
        else:
            self._dispatch_completed()

    def __str__(self):
        return getattr(self, "name", None) or super().__str__()


class OperatorFilter(Filter):
    """Bourn's operators as a filter, under the name that ThingFlow prints."""

    def __init__(self, previous_in_chain, name, *operators):
        self.name = name
        self._inner = Port(self, "inner")
        sink = _Sink(self._inner, Connection(_Onward(self), "default"))
        self._inner.thing.pipe(*operators).connect(sink, self._policy)
        super().__init__(previous_in_chain)

    def on_next(self, x):
        """Give `x` to the operators."""
        self._inner.next(x)

    def on_error(self, e):
        """Give the error to the operators."""
        self._inner.end(e)

    def on_completed(self):
        """Give the end to the operators."""
        self._inner.end()

    def _policy(self, thing, e):
        if isinstance(e, FatalError):
            raise e
        logger.error("Got an exception on %s", self, exc_info=e)
        return False

    def __str__(self):
        return self.name


class _Onward(InputThing):
    """What the operators of an OperatorFilter emit, on to that filter's own port."""

    def __init__(self, owner):
        self.owner = owner

    def on_next(self, x):
        self.owner._dispatch_next(x)

    def on_completed(self):
        self.owner.disconnect_from_upstream()
        self.owner._dispatch_completed()

    def on_error(self, e):
        self.owner.disconnect_from_upstream()
        self.owner._dispatch_error(e)
