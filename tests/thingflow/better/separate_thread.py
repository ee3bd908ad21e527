"""A thing on a separate thread is observed once only, because a test for its connections is the wrong way round."""

import asyncio

from thingflow.base import Scheduler
from virtual import Sensor, Show

EXPECTED = """
s 1
s 2
s 3
s completed
"""

loop = asyncio.new_event_loop()
scheduler = Scheduler(loop)
sensor = Sensor("s", [1, 2, 3])
scheduler.schedule_sensor_on_separate_thread(sensor, 0.001, Show("s"), make_event_fn=lambda s, v: v)
scheduler.run_forever()
loop.close()
