"""Filters that know the time, on a loop whose time jumps."""

from thingflow.base import Filter, Scheduler, SensorAsOutputThing
from thingflow.filters.buffer import buffer_with_time
from thingflow.filters.never import Never
from thingflow.filters.timeout import EventWatcher, SupplyEventWhenTimeout, Timeout
from virtual import Loop, Sensor, Show

loop = Loop()


class Alternate(Filter):
    """Passes two events on, drops the next two, and so on."""

    seen = -1

    def on_next(self, x):
        self.seen += 1
        if self.seen // 2 % 2 == 0:
            self._dispatch_next(x)


class Repeat(EventWatcher):
    last = None

    def on_next(self, x):
        self.last = x

    def produce_event_for_timeout(self):
        return (self.last, "again")

    def close(self):
        print("closed")


class Stop:
    def __init__(self, after, *stops):
        self.after = after
        self.stops = stops

    def on_next(self, x):
        self.after -= 1
        if self.after == 0:
            for stop in self.stops:
                stop()

    def on_completed(self):
        print("stop completed")

    def on_error(self, e):
        print("stop error", e)


def sensor(n):
    return SensorAsOutputThing(Sensor(1, range(n)), make_event_fn=lambda s, v: v)


scheduler = Scheduler(loop)
values = sensor(8)
Alternate(values).supply_event_when_timeout(Repeat(), scheduler, 1.1).connect(Show("supplied"))
scheduler.schedule_periodic(values, 1)
scheduler.run_forever()

scheduler = Scheduler(loop)
values = sensor(11)
buffer_with_time(3.3, scheduler)(values).connect(Show("3.3 s"))
scheduler.schedule_periodic(values, 1)
scheduler.run_forever()

scheduler = Scheduler(loop)
values = sensor(7)
values.buffer_with_time_or_count(60, 3, scheduler).connect(Show("or 3"))
scheduler.schedule_periodic(values, 1)
scheduler.run_forever()

scheduler = Scheduler(loop)
never = Never()
never.connect(Show("never"))
cancel = scheduler.schedule_periodic(never, 0.2)
timeout = Timeout(scheduler, lambda: "timed out")
timeout.connect(Show("timeout"))
timeout.connect(Stop(1, cancel))
timeout.start(5)
timeout.start(2)
scheduler.run_forever()
print(issubclass(SupplyEventWhenTimeout, Filter))
