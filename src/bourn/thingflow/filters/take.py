"""The first events, the last ones, or the very last."""

from __future__ import annotations

from collections import deque

from bourn.thingflow.base import FatalError, FunctionFilter, OutputThing, filtermethod


class ArgumentOutOfRangeException(FatalError):
    """A count that no stream can have."""


class SequenceContainsNoElementsError(FatalError):
    """`last` of an empty stream, without a default."""


@filtermethod(OutputThing)
def take_last(this, count):
    """When the stream completes emit its last `count` events."""
    kept: deque[object] = deque(maxlen=count)

    def on_next(self, x):
        kept.append(x)

    def on_completed(self):
        while kept:
            self._dispatch_next(kept.popleft())
        self._dispatch_completed()

    return FunctionFilter(this, on_next, on_completed, name="take_last")


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
    remaining = count
    completed = False

    def complete(self):
        nonlocal completed
        if not completed:
            completed = True
            self.disconnect_from_upstream()
            self._dispatch_completed()

    def on_next(self, x):
        nonlocal remaining
        remaining -= 1
        if remaining >= 0 and not completed:
            self._dispatch_next(x)
        if remaining <= 0:
            complete(self)

    return FunctionFilter(this, on_next, complete, name=f"take({count})")
