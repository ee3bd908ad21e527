"""A month of a device with three sensors, in no time: what it measured, and how often it woke."""

import time

from bourn import Scheduler, SensorAsOutputThing, delta, map
from bourn.testing import ManualClock, Recorder

DAY_S = 24 * 3600


class Wave:
    """A sensor whose value goes up and down once a day."""

    def __init__(self, sensor_id, low, high, clock):
        self.sensor_id = sensor_id
        self.low = low
        self.high = high
        self.clock = clock

    def sample(self):
        at = self.clock.now() // 1000 % DAY_S
        return self.low + (self.high - self.low) * min(at, DAY_S - at) * 2 // DAY_S


def count(event):
    counts[event.sensor_id] += 1


started = time.time()
clock = ManualClock()
scheduler = Scheduler(clock)
counts, changes = {"temperature": 0, "humidity": 0, "light": 0}, Recorder()
for name, low, high, every_s in (("temperature", 12, 31, 60), ("humidity", 30, 80, 90), ("light", 0, 900, 120)):
    thing = SensorAsOutputThing(Wave(name, low, high, clock), clock)
    thing.connect(count)
    if name == "temperature":
        thing.pipe(map(lambda event: event.val), delta(1), changes)
    scheduler.schedule_periodic(thing, every_s)
scheduler.schedule_later_one_time(scheduler.stop, 30 * DAY_S)
scheduler.run_forever()

print(sum(counts.values()), "readings in", clock.sleeps, "wake-ups,", len(changes.events), "changes")
print(clock.now() // 1000 // DAY_S, "days in less than", int(time.time() - started) + 1, "s")
