"""The first events, the last ones, or the very last."""

from __future__ import annotations

from bourn.operators import place
from bourn.thingflow.base import FatalError, FunctionFilter, OutputThing, filtermethod
from bourn.thingflow.things import OperatorFilter


class ArgumentOutOfRangeException(FatalError):
    """A count that no stream can have."""


class SequenceContainsNoElementsError(FatalError):
    """`last` of an empty stream, without a default."""


@filtermethod(OutputThing)
def take_last(this, count):
    """When the stream completes emit its last `count` events. ValueError below 1."""
    return OperatorFilter(this, "take_last", place.take_last(count))


def last_of(this, default=None):
    """The filter `last`."""
    value = default
    seen = False

    def on_next(self, x):
        nonlocal value, seen
        value = x
        seen = True

    def on_completed(self):
        if not seen and default is None:
            self._dispatch_error(SequenceContainsNoElementsError("last: the stream was empty"))
        else:
            self._dispatch_next(value)
            self._dispatch_completed()

    return FunctionFilter(this, on_next, on_completed, name="last")


@filtermethod(OutputThing)
def last(this, default=None):
    """When the stream completes emit its last event, or `default`; without either end with an error."""
    return last_of(this, default)


@filtermethod(OutputThing)
def take(this, count):
    """Emit the first `count` events, then complete. ArgumentOutOfRangeException when `count` is negative."""
    return taken(this, count)


def taken(this, count):
    """The filter `take`."""
    if count < 0:
        raise ArgumentOutOfRangeException(f"take: count must not be negative, is {count}")
    return OperatorFilter(this, f"take({count})", place.take(count))
