"""`cancel` inside `on_completed` of the thing it cancels."""

from thingflow.base import InputThing, ScheduleError, Scheduler, SensorAsOutputThing
from virtual import Loop, Sensor, Show


class CancelAtEnd(InputThing):
    def on_completed(self):
        cancel()
        print("cancelled")


scheduler = Scheduler(Loop())
thing = SensorAsOutputThing(Sensor(1, []))
thing.connect(CancelAtEnd())
other = SensorAsOutputThing(Sensor(2, [1, 2]), make_event_fn=lambda s, v: v)
other.connect(Show("other"))
cancel = scheduler.schedule_periodic(thing, 1.5)
scheduler.schedule_periodic(other, 1)
try:
    scheduler.run_forever()
except (ScheduleError, AssertionError) as e:
    print("ended by", type(e).__name__)
