"""Sensors as sources: whoever observes one takes a sample, which comes out as an event."""

from bourn._compat import Clock
from bourn.things import OutputThing, SensorEvent, _goes_on


class SensorAsOutputThing(OutputThing):
    """Samples a sensor (`sensor_id`, `sample()`) whenever it is observed, and emits a SensorEvent.

    When `sample` raises: with `policy="stop"` the stream ends with `on_error`, with `"skip"` that sample is left out,
    and a function `policy(thing, e)` decides by returning True to go on (policy.py has one). `failures` counts,
    `failures_in_row` those since the last success, `last_error` keeps the latest. StopIteration ends the stream with
    `on_completed`.

    >>> scheduler.schedule_periodic(SensorAsOutputThing(sensor), 60)
    """

    failures = 0
    failures_in_row = 0
    last_error = None

    def __init__(self, sensor, clock=None, policy="stop"):
        super().__init__()
        self.sensor = sensor
        self.clock = clock or Clock()
        self.policy = policy

    def _take(self):
        val = self.sensor.sample()
        return SensorEvent(self.sensor.sensor_id, self.clock.wall(), val)

    def _observe(self):
        """Take one sample and emit it; False when the stream has ended."""
        try:
            x = self._take()
        except StopIteration:
            self._dispatch_completed()
            return False
        except Exception as e:
            self.failures += 1
            self.failures_in_row += 1
            self.last_error = e
            go_on = _goes_on(self.policy, self, e)
            if not go_on:
                self.failures_in_row = 0
                self._dispatch_error(e)
            return go_on
        self.failures_in_row = 0
        self._emit(x)
        return True
