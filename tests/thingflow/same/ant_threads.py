"""AntEvents: what blocks has threads of its own, an event loop too; timeouts; errors end their stream only."""

import asyncio
import threading

from antevents.base import (
    BlockingSubscriber,
    DirectPublisherMixin,
    EventLoopPublisherMixin,
    FunctionIteratorAsPublisher,
    IterableAsPublisher,
    Publisher,
    ScheduleError,
    Scheduler,
    SensorPub,
)
from antevents.linq.timeout import EventWatcher, Timeout
from virtual import Loop, Sensor, Show


class Patient(BlockingSubscriber):
    def __init__(self, scheduler):
        super().__init__(scheduler)
        self.seen = []
        self.done = threading.Event()

    def _on_next(self, topic, x):
        self.seen.append((topic, x))

    def _on_completed(self, topic):
        self.seen.append((topic, "completed"))
        self.done.set()


class FromLoop(Publisher, EventLoopPublisherMixin):
    def __init__(self):
        super().__init__()
        self.stop = False

    def _observe_event_loop(self):
        for i in range(3):
            self._dispatch_next(i)
        self._dispatch_completed()

    def _stop_loop(self):
        self.stop = True


class Countdown(Publisher, DirectPublisherMixin):
    left = 3

    def _observe(self):
        self.left -= 1
        if self.left:
            self._dispatch_next(self.left)
        else:
            self._dispatch_error(OSError("torn"))


class Repeat(EventWatcher):
    last = None

    def on_next(self, x):
        self.last = x

    def produce_event_for_timeout(self):
        return (self.last, "again")

    def close(self):
        print("closed")


scheduler = Scheduler(Loop())
thing = IterableAsPublisher(iter(range(4)), name="four")
patient = Patient(scheduler)
thing.subscribe(patient)
scheduler.schedule_recurring(thing)
scheduler.run_forever()
patient.done.wait(10)
print(thing, patient.seen)

scheduler = Scheduler(asyncio.new_event_loop())
loop = FromLoop()
loop.subscribe(Show("loop"))
scheduler.schedule_on_private_event_loop(loop)
scheduler.run_forever()

scheduler = Scheduler(Loop())
countdown = Countdown()
countdown.subscribe(Show("countdown"))
cancel = scheduler.schedule_periodic(countdown, 2)
squares = FunctionIteratorAsPublisher(1, lambda s: s < 100, lambda s: s * 2, lambda s: s * s)
squares.subscribe(Show("squares"))
timeout = Timeout(scheduler, lambda: "timed out")
timeout.subscribe(Show("timeout"))
timeout.start(5)
timeout.start(1.9)
values = SensorPub(Sensor(1, [1, 2, OSError("broken wire")]), make_event_fn=lambda s, v: v)
values.supply_event_when_timeout(Repeat(), scheduler, 0.7).subscribe(Show("supplied"))
scheduler.schedule_periodic(values, 1)
scheduler.run_forever()
try:
    cancel()
except (ScheduleError, KeyError) as e:
    print(type(e).__name__)
