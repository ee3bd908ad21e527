"""What operators compare and compute with: the one rule that all of them share.

The value of an event is `.val` where it is a SensorEvent, and the event itself otherwise. An operator that looks at
values takes `key=`, a function of the event, in place of that rule. Operators that choose emit the event as it came;
those that compute emit a SensorEvent with the name and time of the latest event, where that was one, else the result.
"""

from bourn.things import SensorEvent


def value(x):
    """The value of an event: `value(SensorEvent("t1", 0, 21.5))` and `value(21.5)` are 21.5."""
    return x.val if isinstance(x, SensorEvent) else x


def like(x, val):
    """The result `val` as an event like `x`: `like(SensorEvent("t1", 0, 1), 2)` is `SensorEvent("t1", 0, 2)`."""
    return SensorEvent(x.sensor_id, x.ts, val) if isinstance(x, SensorEvent) else val
