"""The names of ThingFlow's MicroPython port with their arguments: a program for a board changes its imports only.

    from thingflow import OutputThing, Scheduler, ...   becomes   from bourn.device.thingflow import ...
    from logger import initialize_logging, ...          becomes   from bourn.device.log import ...

Things and scheduler are Bourn's; what differs is in docs/migration.md, "On a board".
"""

from bourn import scheduler, things
from bourn.clock import Clock
from bourn.ports import DEFAULT, InputPort, Port
from bourn.things import SensorEvent


class FatalError(Exception):
    """Raised by a sink or a thing it comes out of `run_forever`; every other exception ends its own stream only."""


class ExcInDispatch(FatalError):
    """Never raised: a sink that fails is told by `on_error` and disconnected, and its neighbours go on."""


def _end_unless_fatal(thing, e):
    if isinstance(e, FatalError):
        raise e
    return False


class OutputThing(things.OutputThing):
    """Emits events on its ports: on "default", or on those named in `ports`."""

    def __init__(self, ports=None):
        super().__init__()
        self._ports = {}  # those that are open
        for name in ports or (DEFAULT,):
            self._ports[name] = self if name == DEFAULT else Port(self)

    def connect(self, input_thing, port_map=None, policy=_end_unless_fatal):
        """Connect `input_thing`, or any callable; returns the function that ends it, which may be called anywhere.

        `port_map` is (port of this thing, port of the input thing). An input port P is the methods `on_P_next`,
        `on_P_completed` and `on_P_error`; AttributeError where one is missing, ValueError for a port that is not there.
        """
        if port_map is not None and not isinstance(port_map, (tuple, list)):
            port_map, policy = None, port_map  # as an operator of Bourn's connects
        out, into = port_map or (DEFAULT, DEFAULT)
        sink = input_thing if into == DEFAULT else InputPort(input_thing, into)
        return things.OutputThing.connect(self.port(out), sink, policy)

    def port(self, name=None):
        """The port of that name as a thing. ValueError where there is none, or its stream has ended."""
        try:
            return self._ports[name or DEFAULT]
        except KeyError:
            raise ValueError("there is no open port %r; there are %r" % (name or DEFAULT, sorted(self._ports)))

    def _dispatch_next(self, x, port=None):
        self.port(port)._emit(x)

    def _dispatch_completed(self, port=None):
        self._end(port, None)

    def _dispatch_error(self, e, port=None):
        self._end(port, e)

    def _end(self, port, error):
        ended = self.port(port)
        del self._ports[port or DEFAULT]  # before anyone is told
        things.OutputThing._dispatch_completed(ended, error)


class SensorAsOutputThing(OutputThing):
    """Samples `sensor` whenever it is observed and emits a SensorEvent; an exception of `sample` ends the stream."""

    def __init__(self, sensor, clock=None):
        super().__init__()
        self.sensor = sensor
        self.clock = clock or Clock()

    def _observe(self):
        try:
            val = self.sensor.sample()
        except FatalError:
            raise
        except StopIteration:
            self._dispatch_completed()
        except Exception as e:
            self._dispatch_error(e)
        else:
            self._emit(SensorEvent(self.sensor.sensor_id, self.clock.wall(), val))


class Output:
    """Prints what it gets."""

    def on_next(self, x):
        """Print `x`."""
        print(x)

    def on_completed(self):
        """Nothing."""

    def on_error(self, e):
        """Print the exception."""
        print("Error:", e)


class Scheduler(scheduler.Scheduler):
    """Observes things at once, then on the grid that all intervals share; `clock_wrap` does nothing."""

    def __init__(self, clock_wrap=None, clock=None, wait=None):
        super().__init__(clock, wait)

    def schedule_periodic(self, output_thing, interval):
        """Observe `output_thing` now and every `interval` seconds until all its ports have ended; returns `cancel`."""

        def observe():
            if output_thing._observe() is False or getattr(output_thing, "_ports", None) == {}:
                task.cancel()

        output_thing.scheduler = self
        task = self.schedule_recurring(observe, interval, at_once=True)
        return task

    def schedule_sensor(self, sensor, interval, *conns):
        """Sample `sensor` every `interval` seconds into each of `conns`; returns `cancel`."""
        thing = SensorAsOutputThing(sensor, self.clock)
        for one in conns:
            thing.connect(one)
        return self.schedule_periodic(thing, interval)
