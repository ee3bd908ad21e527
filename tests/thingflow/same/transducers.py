"""Transducers, the ready ones and one of a program's own."""

from thingflow.base import Scheduler, SensorEvent, from_list
from thingflow.filters.transducer import (
    PeriodicMedianTransducer,
    SensorSlidingMean,
    SlidingWindowTransducer,
    Transducer,
    transduce,
)
from virtual import Loop, Show


class Largest(SlidingWindowTransducer):
    def _first_event(self, new_event):
        return new_event, None

    def _add_event(self, state, new_event, total_events):
        return max([*self.history, new_event], key=lambda e: e.val), total_events

    def _replace_event(self, state, new_event, old_event, total_events):
        return self._add_event(state, new_event, total_events)


class Last(Transducer):
    def step(self, v):
        self.v = v

    def complete(self):
        return self.v


events = from_list([SensorEvent("s", t, v) for t, v in enumerate([4, 8, 15, 16, 23, 42, 4, 8])])
events.transduce(SensorSlidingMean(3)).connect(Show("mean"))
events.transduce(PeriodicMedianTransducer(period=3)).connect(Show("median"))
events.transduce(Largest(3)).connect(Show("largest"))
events.transduce(Last()).connect(Show("last"))
transduce(Transducer())(events).connect(Show("same"))
print(events.transduce(SensorSlidingMean(3)))
scheduler = Scheduler(Loop())
scheduler.schedule_recurring(events)
scheduler.run_forever()
