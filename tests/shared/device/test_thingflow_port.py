# heap: 128k
"""Programs of ThingFlow's MicroPython port, with only their imports changed."""

import builtins
import os

from bourn.device.log import Logger, close_logging, get_logger, initialize_logging
from bourn.device.thingflow import (
    ExcInDispatch,
    FatalError,
    Output,
    OutputThing,
    Scheduler,
    SensorAsOutputThing,
)
from bourn.testing import ManualClock, Recorder, raises


class Sensor:
    def __init__(self, sensor_id, values):
        self.sensor_id = sensor_id
        self.values = list(values)

    def sample(self):
        if not self.values:
            raise StopIteration
        value = self.values.pop(0)
        if isinstance(value, Exception):
            raise value
        return value


class Split(OutputThing):
    """A thing with named output ports that is an input thing, too."""

    def __init__(self):
        super().__init__(["low", "high"])

    def on_next(self, x):
        self._dispatch_next(x, "low" if x < 3 else "high")

    def on_completed(self):
        self._dispatch_completed("low")
        self._dispatch_error(ValueError("no more"), port="high")

    def on_error(self, e):
        pass


class Sides:
    """An input thing with a named port beside the default one."""

    def __init__(self):
        self.seen = []

    def on_next(self, x):
        self.seen.append(x)

    def on_completed(self):
        self.seen.append("completed")

    def on_error(self, e):
        self.seen.append(repr(e))

    def on_side_next(self, x):
        self.seen.append(("side", x))

    def on_side_completed(self):
        self.seen.append(("side", "completed"))

    def on_side_error(self, e):
        self.seen.append(("side", repr(e)))


class Countdown(OutputThing):
    """A source as the port's programs write it: its `_observe` returns nothing."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def _observe(self):
        if self.left:
            self._dispatch_next(self.left)
            self.left -= 1
        else:
            self._dispatch_completed()


def test_named_ports_on_both_sides():
    source, split, sides = OutputThing(), Split(), Sides()
    source.connect(split)
    dispose = split.connect(sides, ("low", "default"))
    split.connect(sides, port_map=("high", "side"))
    for x in (1, 5, 2):
        source._dispatch_next(x)
    dispose()
    source._dispatch_next(0)
    source._dispatch_next(9)
    source._dispatch_completed()
    assert sides.seen == [1, ("side", 5), 2, ("side", 9), ("side", repr(ValueError("no more")))]
    for port in ("low", "nowhere", None):
        assert "no open port" in str(raises(ValueError, split._dispatch_next, 1, port))
    assert "no open port" in str(raises(ValueError, split.connect, sides))
    raises(AttributeError, OutputThing().connect, sides, ("default", "nowhere"))


def test_a_terminal_event_is_the_last_on_its_port():
    thing, recorder = OutputThing(ports=["default", "other"]), Recorder()
    thing.connect(recorder)
    thing._dispatch_next(1, None)
    thing._dispatch_completed(None)
    assert recorder.events == [1] and recorder.end == "completed"
    raises(ValueError, thing._dispatch_next, 2)
    raises(ValueError, thing._dispatch_error, ValueError())
    thing._dispatch_next(1, "other")


def test_a_disposal_inside_a_dispatch():
    thing, seen = OutputThing(), []

    class Once(Sides):
        def on_next(self, x):
            seen.append(x)
            self.dispose()

    once = Once()
    once.dispose = thing.connect(once)
    thing.connect(seen.append)
    for x in (1, 2):
        thing._dispatch_next(x)
    assert seen == [1, 1, 2]


def test_a_sensor_is_sampled_at_once_and_then_on_the_grid():
    clock = ManualClock()
    scheduler, seen = Scheduler(1048576, clock=clock), []
    clock.advance(700)
    cancel = scheduler.schedule_sensor(Sensor("a", range(4)), 2, lambda e: seen.append((clock.now(), e[0], e[2])))
    thing = SensorAsOutputThing(Sensor("b", [7, 8]), clock)
    recorder = Recorder()
    thing.connect(recorder)
    scheduler.schedule_periodic(thing, 4)
    scheduler.run_forever()
    assert seen == [(700, "a", 0), (2000, "a", 1), (4000, "a", 2), (6000, "a", 3)]
    assert [tuple(e) for e in recorder.events] == [("b", 1700000000700, 7), ("b", 1700000004000, 8)]
    assert recorder.end == "completed" and clock.now() == 8000
    cancel()


def test_every_connection_of_schedule_sensor_gets_every_event():
    scheduler, one, two = Scheduler(clock=ManualClock()), Recorder(), Recorder()
    scheduler.schedule_sensor(Sensor("a", [1, 2, OSError("torn")]), 1, one, two)
    scheduler.run_forever()
    for recorder in (one, two):
        assert [e.val for e in recorder.events] == [1, 2] and isinstance(recorder.end, OSError)


def test_a_source_of_ones_own_ends_with_its_stream():
    scheduler, recorder = Scheduler(clock=ManualClock()), Recorder()
    countdown = Countdown(3)
    countdown.connect(recorder)
    scheduler.schedule_periodic(countdown, 60)
    scheduler.run_forever()
    assert recorder.events == [3, 2, 1] and recorder.end == "completed" and scheduler.clock.now() == 180000


def test_cancel_inside_a_callback():
    scheduler, seen = Scheduler(clock=ManualClock()), []

    def take(x):
        seen.append(x)
        if x == 8:
            cancel()

    endless = Countdown(10)
    endless.connect(take)
    cancel = scheduler.schedule_periodic(endless, 1)
    scheduler.run_forever()
    assert seen == [10, 9, 8]


def test_a_failing_sink_ends_alone_and_a_fatal_error_everything():
    def fail(x):
        raise error

    for error, first in ((OSError("disk"), [3, 2, 1]), (FatalError("stop"), [])):
        scheduler, recorder, countdown = Scheduler(clock=ManualClock()), Recorder(), Countdown(3)
        sink = Sides()
        sink.on_next = fail
        countdown.connect(sink)
        countdown.connect(recorder)
        scheduler.schedule_periodic(countdown, 1)
        if isinstance(error, FatalError):
            assert raises(FatalError, scheduler.run_forever) is error
        else:
            scheduler.run_forever()
            assert sink.seen == [repr(error)]
        assert recorder.events == first
    assert issubclass(ExcInDispatch, FatalError)


def test_a_fatal_error_of_a_sensor_ends_everything_and_no_stream():
    scheduler, recorder = Scheduler(clock=ManualClock()), Recorder()
    error = FatalError("the bus is on fire")
    scheduler.schedule_sensor(Sensor("a", [1, error, 2]), 1, recorder)
    assert raises(FatalError, scheduler.run_forever) is error
    assert [e.val for e in recorder.events] == [1] and recorder.end is None


def test_operators_of_bourn_stand_behind_things_of_the_port():
    from bourn import map, where

    countdown, recorder = Countdown(4), Recorder()
    countdown.pipe(where(lambda x: x % 2 == 0), map(lambda x: x * 10), recorder)
    while countdown._ports:
        countdown._observe()
    assert recorder.events == [40, 20] and recorder.end == "completed"


def test_output_prints():
    printed = []
    real, builtins.print = builtins.print, lambda *words: printed.append(words)
    try:
        for how in ("_dispatch_error", "_dispatch_completed"):
            thing = OutputThing()
            thing.connect(Output())
            thing._dispatch_next("printed by Output")
            getattr(thing, how)(*([ValueError("and its end")] if how == "_dispatch_error" else []))
            assert thing.errors == 0
    finally:
        builtins.print = real
    assert [str(words[-1]) for words in printed] == ["printed by Output", "and its end", "printed by Output"]


def test_logging_by_the_names_of_the_port():
    path = "/tmp/bourn-test-port-%s.log" % os.urandom(4).hex()
    raises(RuntimeError, get_logger)
    initialize_logging(path, 200, Logger.WARNING, False)
    raises(RuntimeError, initialize_logging, path)
    log = get_logger()
    log.info("left out")
    log.set_level(log.DEBUG)
    for name in ("debug", "info", "warning", "warn", "error"):
        getattr(log, name)(name)
    close_logging()
    close_logging()
    raises(RuntimeError, get_logger)
    with open(path) as file:
        lines = file.read().split("\n")[:-1]
    assert [line.split(" ", 2)[2] for line in lines] == [
        "[DBG] debug",
        "[INF] info",
        "[WRN] warning",
        "[WRN] warn",
        "[ERR] error",
    ]
    initialize_logging(path, max_len=200, level=Logger.INFO, interactive=False)
    get_logger().info("x" * 60)
    close_logging()
    assert path[5:] + ".1" in os.listdir("/tmp")
    for name in (path, path + ".1"):
        os.remove(name)
