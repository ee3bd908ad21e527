"""Errors of sensors, iterables and filters end their stream only; a FatalError ends the program."""

import thingflow.filters.map
from thingflow.base import (
    CallableAsInputThing,
    FatalError,
    InputThing,
    IterableAsOutputThing,
    ScheduleError,
    Scheduler,
    SensorAsOutputThing,
)
from virtual import Loop, Sensor, Show


class Bomb(InputThing):
    def __init__(self, exception):
        self.exception = exception

    def on_next(self, x):
        if x == 2:
            raise self.exception


class BombAtEnd(InputThing):
    def on_completed(self):
        raise FatalError("at the end")


def numbers():
    yield from (1, 2)
    raise OSError("torn")


def run(*sinks, values=(1, 2, 3)):
    scheduler = Scheduler(Loop())
    other = SensorAsOutputThing(Sensor("other", [7, 8]), make_event_fn=lambda s, v: v)
    other.connect(Show("other"))
    thing = SensorAsOutputThing(Sensor("thing", values), make_event_fn=lambda s, v: v)
    for sink in sinks:
        thing.connect(sink)
    scheduler.schedule_periodic(thing, 1)
    scheduler.schedule_periodic(other, 10)
    try:
        scheduler.run_forever()
    except ScheduleError as e:
        print("ended by", type(e.__cause__).__name__)


run(Show(), values=[1, OSError("broken wire")])
run(Show(), Bomb(FatalError("boom")))
run(Show(), Bomb(AssertionError("wrong")))
run(BombAtEnd())
run(CallableAsInputThing(print, on_completed=lambda: print("call completed")))
run(CallableAsInputThing(print, on_error=lambda e: print("call error", e)), values=[1, ValueError("v")])

scheduler = Scheduler(Loop())
thing = SensorAsOutputThing(Sensor("thing", [1, 0, 3]), make_event_fn=lambda s, v: v)
thing.map(lambda x: 1 // x).connect(Show("divided"))
thing.connect(Show("neighbour"))
scheduler.schedule_periodic(thing, 1)
scheduler.run_forever()

scheduler = Scheduler(Loop())
thing = IterableAsOutputThing(numbers())
thing.connect(Show("iterable"))
scheduler.schedule_recurring(thing)
scheduler.run_forever()
