"""`buffer_with_time_or_count` does not begin to count anew when the time has emitted."""

import thingflow.filters.buffer
from thingflow.base import Scheduler, SensorAsOutputThing
from virtual import Loop, Sensor, Show

EXPECTED = """
b [0, 1]
b [2, 3]
b [4, 5, 6]
b []
b completed
"""

scheduler = Scheduler(Loop())
values = SensorAsOutputThing(Sensor(1, range(7)), make_event_fn=lambda s, v: v)
values.buffer_with_time_or_count(2.4, 3, scheduler).connect(Show("b"))
scheduler.schedule_periodic(values, 1)
scheduler.run_forever()
