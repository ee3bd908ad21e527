"""Leaves out the first events."""

from __future__ import annotations

from bourn.operators import place
from bourn.thingflow.base import OutputThing, filtermethod
from bourn.thingflow.filters.take import ArgumentOutOfRangeException
from bourn.thingflow.things import OperatorFilter


@filtermethod(OutputThing, alias="drop")
def skip(this, count):
    """Leave out the first `count` events. ArgumentOutOfRangeException when `count` is negative."""
    if count < 0:
        raise ArgumentOutOfRangeException(f"skip: count must not be negative, is {count}")
    return OperatorFilter(this, "skip", place.skip(count))
