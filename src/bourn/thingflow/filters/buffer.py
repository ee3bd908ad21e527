"""Collects events into lists, by count and by time."""

from __future__ import annotations

from bourn.thingflow.base import FatalError, FunctionFilter, OutputThing, filtermethod
from bourn.thingflow.filters.timeout import EventWatcher, TimedFilter


@filtermethod(OutputThing)
def buffer_with_count(this, count):
    """Emit lists of `count` events; the rest, which may be empty, when the stream ends. FatalError below 0."""
    if count < 0:
        raise FatalError(f"buffer_with_count: count must not be negative, is {count}")
    kept: list[object] = []

    def flush(self):
        nonlocal kept
        full, kept = kept, []
        self._dispatch_next(full)

    def on_next(self, x):
        kept.append(x)
        if len(kept) == count:
            flush(self)

    def on_completed(self):
        flush(self)
        self._dispatch_completed()

    def on_error(self, e):
        flush(self)
        self._dispatch_error(e)

    return FunctionFilter(this, on_next, on_completed, on_error, name="buffer_with_count")


class BufferEventWatcher(EventWatcher):
    """Keeps the events until they are asked for."""

    def __init__(self):
        self.q = []

    def on_next(self, x):
        """Keep `x`."""
        self.q.append(x)

    def produce_event_for_timeout(self):
        """What was kept since the last call."""
        kept, self.q = self.q, []
        return kept


class BufferEventUntilTimeoutOrCount(TimedFilter):
    """Emits what the watcher has kept, every `interval` seconds or when `count` more events have come."""

    def __init__(self, previous_in_chain, event_watcher, scheduler, interval=None, count=None):
        self.count = count
        self.seen = 0
        self._start(event_watcher, scheduler, interval)
        super().__init__(previous_in_chain, name="buffer_until_timeout")

    def on_next(self, x):
        """Keep `x`; emit all when there are enough."""
        self.seen += 1
        self.event_watcher.on_next(x)
        if self.count and self.seen >= self.count:
            self._restart()
            self._flush()

    def _flush(self):
        self.seen = 0
        self._dispatch_next(self.event_watcher.produce_event_for_timeout())

    def on_timeout_next(self, x):
        """Emit what was kept until now."""
        self.seen = 0
        super().on_timeout_next(x)

    def on_completed(self):
        """Emit the rest, then the end."""
        self._flush()
        super().on_completed()

    def on_error(self, e):
        """Emit the rest, then the error."""
        self._flush()
        super().on_error(e)


@filtermethod(OutputThing)
def buffer_with_time(this, interval, scheduler):
    """Emit the list of what has come, every `interval` seconds; the rest when the stream ends. FatalError up to 0."""
    if interval <= 0:
        raise FatalError(f"buffer_with_time: interval must be more than 0 s, is {interval}")
    return BufferEventUntilTimeoutOrCount(this, BufferEventWatcher(), scheduler, interval=interval)


@filtermethod(OutputThing)
def buffer_with_time_or_count(this, interval, count, scheduler):
    """Emit the list of what has come after `interval` seconds or `count` events, whichever is first."""
    if interval <= 0 or count <= 0:
        raise FatalError(f"buffer_with_time_or_count: interval and count must be more than 0, are {interval}, {count}")
    return BufferEventUntilTimeoutOrCount(this, BufferEventWatcher(), scheduler, interval=interval, count=count)
