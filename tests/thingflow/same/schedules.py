"""Periods, one-time schedules and their cancellation, in the order of time."""

from thingflow.base import InputThing, IterableAsOutputThing, ScheduleError, Scheduler, SensorAsOutputThing
from virtual import Loop, Sensor, Show

loop = Loop()
scheduler = Scheduler(loop)


class Disconnect(InputThing):
    def __init__(self, thing, after):
        self.disconnect = thing.connect(self)
        self.after = after

    def on_next(self, x):
        print(loop.passed, "disconnecting", x)
        self.after -= 1
        if self.after == 0:
            self.disconnect()


class Call:
    def __init__(self, what):
        self.what = what

    def on_next(self, x):
        self.what()

    def on_completed(self):
        print("call completed")

    def on_error(self, e):
        print("call error", e)


def endless(name, unit):
    thing = SensorAsOutputThing(Sensor(name, iter(int, 1)), make_event_fn=lambda s, v: s.sensor_id)
    thing.connect(lambda x: print(round(loop.passed / 50) * 50, x))
    return thing


every_second = endless("1 s", 1)
every_third = endless("3 s", 3)
cancel_second = scheduler.schedule_periodic(every_second, 1)
cancel_third = scheduler.schedule_periodic(every_third, 3.5)
once = SensorAsOutputThing(Sensor("once", ["a"]), make_event_fn=lambda s, v: v)
once.connect(Show("once"))
once.connect(Call(cancel_second))
scheduler.schedule_later_one_time(once, 4.7)
end = SensorAsOutputThing(Sensor("end", ["z"]), make_event_fn=lambda s, v: v)
end.connect(Call(cancel_third))
scheduler.schedule_later_one_time(end, 11)
unused = SensorAsOutputThing(Sensor("unused", []))
cancel_unused = scheduler.schedule_later_one_time(unused, 2)
cancel_unused()
scheduler.run_forever()
try:
    cancel_third()
except ScheduleError:
    print("cancelled before")

thing = IterableAsOutputThing(iter(range(100)), name="hundred")
Disconnect(thing, 3)
scheduler.schedule_recurring(thing)
scheduler.run_forever()
print("still", next(thing.iterable))
