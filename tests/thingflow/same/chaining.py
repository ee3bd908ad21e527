"""Filters as methods, several branches, drawing and tracing."""

import thingflow.filters.output
import thingflow.filters.scan
import thingflow.filters.where
from thingflow.base import Scheduler, SensorAsOutputThing
from thingflow.filters.map import map
from virtual import Loop, Sensor, Show

scheduler = Scheduler(Loop())
sensor = SensorAsOutputThing(Sensor(1, [1, 2, 3, 4, 5]), make_event_fn=lambda s, v: v)
sensor.output().map(lambda x: x + 1).where(lambda x: x % 2).output_count().connect(Show())
sensor.select(lambda x: None if x == 3 else x * 10).filter(lambda x: x > 10).connect(Show("tens"))
sensor.scan(lambda a, x: a + x).connect(Show("sum"))
sensor.scan(lambda a, x: a + x, 100).connect(Show("sum from 100"))
sensor.reduce(lambda a, x: a * x).connect(Show("product"))
sensor.aggregate(max, 3).connect(print)
sensor.print_downstream()
print([type(one).__name__ for one in sensor.__connections__["default"]] != [])
sensor.trace_downstream()
scheduler.schedule_periodic(sensor, 0.5)
scheduler.run_forever()
print("done", callable(map))
