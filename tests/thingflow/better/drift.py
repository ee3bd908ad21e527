"""A period is counted from the end of the last observation, so that every one of them is late by the work before it."""

from thingflow.base import Scheduler, SensorAsOutputThing
from virtual import Loop, Sensor

EXPECTED = """
1.0
2.0
3.0
4.0
"""


def work(x):
    loop.stall(0.25)


loop = Loop()
scheduler = Scheduler(loop)
thing = SensorAsOutputThing(Sensor(1, range(4)), make_event_fn=lambda s, v: v)
thing.connect(lambda x: print(round(loop.passed / 1000, 1)))
thing.connect(work)
scheduler.schedule_periodic(thing, 1)
scheduler.run_forever()
