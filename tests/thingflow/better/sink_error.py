"""One writer's error ends everything; here its branch ends with `on_error`, and the others go on."""

from thingflow.base import InputThing, ScheduleError, Scheduler, SensorAsOutputThing
from virtual import Loop, Sensor, Show

EXPECTED = """
writer told: disk full
show 1
show 2
show completed
"""


class Writer(InputThing):
    def on_next(self, x):
        raise OSError("disk full")

    def on_error(self, e):
        print("writer told:", e)


scheduler = Scheduler(Loop())
thing = SensorAsOutputThing(Sensor(1, [1, 2]), make_event_fn=lambda s, v: v)
thing.connect(Writer())
thing.connect(Show())
scheduler.schedule_periodic(thing, 1)
try:
    scheduler.run_forever()
except ScheduleError as e:
    print("ended by", type(e.__cause__).__name__)
