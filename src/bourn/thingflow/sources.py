"""What originates events when it is observed: sensors, iterables, functions, rows."""

from __future__ import annotations

import time

from bourn.thingflow.errors import FatalError
from bourn.thingflow.things import OutputThing, logger
from bourn.things import SensorEvent


class DirectOutputThingMixin:
    """Emits when the scheduler calls `_observe()`."""

    def _observe(self):
        raise NotImplementedError(f"{type(self).__name__}._observe")


IndirectOutputThingMixin = DirectOutputThingMixin  # imported by sensors of ThingFlow, defined nowhere in 2.3


class EventLoopOutputThingMixin:
    """Has an event loop of its own: `_observe_event_loop()` runs it, `_stop_loop()` makes it return soon."""

    def _observe_event_loop(self):
        raise NotImplementedError(f"{type(self).__name__}._observe_event_loop")

    def _stop_loop(self):
        raise NotImplementedError(f"{type(self).__name__}._stop_loop")


class IterableAsOutputThing(OutputThing, DirectOutputThingMixin):
    """Emits the elements of any iterable, one whenever it is observed."""

    def __init__(self, iterable, name=None):
        super().__init__()
        self.iterable = iter(iterable)
        self.name = name

    def _observe(self):
        try:
            event = self._to_event(next(self.iterable))
        except StopIteration:
            self._close()
            self._dispatch_completed()
        except FatalError:
            self._close()
            raise
        except Exception as e:
            logger.warning("%s has ended with an exception", self, exc_info=e)
            self._close()
            self._dispatch_error(e)
        else:
            self._dispatch_next(event)

    def _to_event(self, element):
        return element

    def _close(self):
        """Called once, when the iteration has ended; subclasses release what they hold."""

    def __str__(self):
        return self.name or super().__str__()


def from_iterable(i):
    """A thing that emits the elements of the iterable `i`."""
    return IterableAsOutputThing(i)


from_list = from_iterable


class FunctionIteratorAsOutputThing(OutputThing, DirectOutputThingMixin):
    """Emits `result_selector(value)` while `condition(value)`, for `initial_state` and what `iterate` makes of it.

    As `for (value = initial_state; condition(value); value = iterate(value))`.
    """

    def __init__(self, initial_state, condition, iterate, result_selector):
        super().__init__()
        self.value = initial_state
        self.condition = condition
        self.iterate = iterate
        self.result_selector = result_selector
        self.first = True

    def _observe(self):
        try:
            if not self.first:
                self.value = self.iterate(self.value)
            self.first = False
            more = self.condition(self.value)
            event = self.result_selector(self.value) if more else None
        except FatalError:
            raise
        except Exception as e:
            self._dispatch_error(e)
            return
        if more:
            self._dispatch_next(event)
        else:
            self._dispatch_completed()


def from_func(init, cond, iter, selector):
    """As FunctionIteratorAsOutputThing: `from_func(0, lambda x: x < 3, lambda x: x + 1, str)` emits "0", "1", "2"."""
    return FunctionIteratorAsOutputThing(init, cond, iter, selector)


def make_sensor_event(sensor, sample):
    """A SensorEvent whose `ts` is float seconds since 1970 UTC, as in ThingFlow (Bourn's own are integer ms)."""
    return SensorEvent(sensor.sensor_id, time.time(), sample)


class SensorAsOutputThing(OutputThing, DirectOutputThingMixin):
    """Samples `sensor` whenever it is observed and emits `make_event_fn(sensor, sample)`.

    StopIteration of the sensor completes the stream, another exception ends it by `on_error`.
    """

    def __init__(self, sensor, make_event_fn=make_sensor_event):
        super().__init__()
        self.sensor = sensor
        self.make_event_fn = make_event_fn

    def _observe(self):
        try:
            event = self.make_event_fn(self.sensor, self.sensor.sample())
        except FatalError:
            raise
        except StopIteration:
            self._dispatch_completed()
        except Exception as e:
            self._dispatch_error(e)
        else:
            self._dispatch_next(event)

    def __repr__(self):
        return f"SensorAsOutputThing({self.sensor!r})"
