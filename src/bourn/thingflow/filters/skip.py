"""Leaves out the first events."""

from __future__ import annotations

from bourn.thingflow.base import FunctionFilter, OutputThing, filtermethod
from bourn.thingflow.filters.take import ArgumentOutOfRangeException


@filtermethod(OutputThing, alias="drop")
def skip(this, count):
    """Leave out the first `count` events. ArgumentOutOfRangeException when `count` is negative."""
    if count < 0:
        raise ArgumentOutOfRangeException(f"skip: count must not be negative, is {count}")
    remaining = count

    def on_next(self, x):
        nonlocal remaining
        if remaining > 0:
            remaining -= 1
        else:
            self._dispatch_next(x)

    return FunctionFilter(this, on_next, name="skip")
