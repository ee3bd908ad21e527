"""Transducers: objects with state whose `step(x)` makes the event to emit.

The mean over a window is kept as a sum to which the newest value is added and from which the oldest is taken; the
median of a period is Python's `statistics.median`.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from bourn.thingflow.base import OutputThing, XformOrDropFilter, filtermethod
from bourn.things import SensorEvent


class Transducer:
    """Passes everything on; subclasses change `step` and `complete`."""

    def step(self, v):
        """What to emit for `v`, or None."""
        return v

    def complete(self):
        """What is left to emit when the stream ends, or None."""


class Transduce(XformOrDropFilter):
    """Emits what a transducer makes of each event."""

    def __init__(self, previous_in_chain, xformer):
        self.xformer = xformer
        super().__init__(previous_in_chain)

    def _filter(self, x):
        return self.xformer.step(x)

    def _complete(self):
        return self.xformer.complete()

    def __str__(self):
        return f"transduce({self.xformer})"


@filtermethod(OutputThing)
def transduce(this, xform):
    """Emit `xform.step(x)` for each event, unless it is None, and `xform.complete()` before the end."""
    return Transduce(this, xform)


class SlidingWindowTransducer(Transducer):
    """The newest `history_samples` events, and a state made from them step by step.

    Subclasses implement `_first_event(new)`, `_add_event(state, new, count)` and `_replace_event(state, new, old,
    count)`; each returns (what to emit, the new state).
    """

    def __init__(self, history_samples):
        self.history_samples = history_samples
        self.history: deque[SensorEvent] = deque(maxlen=history_samples)
        self.state = None

    def step(self, event):
        """Call the method for this event and keep its state."""
        count = len(self.history)
        if not count:
            made, self.state = self._first_event(event)
        elif count < self.history_samples:
            made, self.state = self._add_event(self.state, event, count + 1)
        else:
            made, self.state = self._replace_event(self.state, event, self.history.popleft(), count)
        self.history.append(event)
        return made

    def _first_event(self, new_event):
        raise NotImplementedError(f"{type(self).__name__}._first_event")

    def _add_event(self, state, new_event, total_events):
        raise NotImplementedError(f"{type(self).__name__}._add_event")

    def _replace_event(self, state, new_event, old_event, total_events):
        raise NotImplementedError(f"{type(self).__name__}._replace_event")


class SensorSlidingMean(SlidingWindowTransducer):
    """The mean of the newest `history_samples` values of one sensor."""

    def _first_event(self, new_event):
        return new_event, new_event.val

    def _add_event(self, state, new_event, total_events):
        total = state + new_event.val
        return SensorEvent(new_event.sensor_id, new_event.ts, total / total_events), total

    def _replace_event(self, state, new_event, old_event, total_events):
        return self._add_event(state - old_event.val, new_event, total_events)

    def __str__(self):
        return f"SensorSlidingMean({self.history_samples})"


class PeriodicMedianTransducer(Transducer):
    """The median of every `period` events, and at the end of those that are left."""

    def __init__(self, period=5):
        self.period = period
        self.samples = []
        self.last_event = None

    def _event_to_val(self, evt):
        return evt.val

    def _make_event(self, last_event, val):
        return SensorEvent(last_event.sensor_id, last_event.ts, val)

    def step(self, v):
        """The median when a period is full, else None."""
        self.samples.append(self._event_to_val(v))
        self.last_event = v
        return self.complete() if len(self.samples) >= self.period else None

    def complete(self):
        """The median of what is left, or None."""
        if not self.samples:
            return None
        samples, self.samples = self.samples, []
        return self._make_event(self.last_event, median(samples))
