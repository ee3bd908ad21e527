"""Events that are made because time has passed."""

from __future__ import annotations

from bourn.thingflow.base import DirectOutputThingMixin, FatalError, FunctionFilter, OutputThing, filtermethod


class Timeout(OutputThing, DirectOutputThingMixin):
    """Emits `timeout_thunk()` once, `interval` seconds after `start(interval)`, which begins anew at every call."""

    def __init__(self, scheduler, timeout_thunk):
        super().__init__()
        self.scheduler = scheduler
        self.timeout_thunk = timeout_thunk
        self.cancel = None

    def start(self, interval):
        """From now on wait `interval` seconds."""
        self.clear()
        self.cancel = self.scheduler.schedule_later_one_time(self, interval)

    def clear(self):
        """Wait no more."""
        if self.cancel:
            self.cancel()
            self.cancel = None

    def _observe(self):
        self.cancel = None
        self._dispatch_next(self.timeout_thunk())


class EventWatcher:
    """Sees every event and makes the one for a timeout; subclasses say which."""

    def on_next(self, x):
        """An event has come."""

    def produce_event_for_timeout(self):
        """The event to emit when none has come for too long."""

    def close(self):
        """The stream has ended."""


class TimedFilter(FunctionFilter):
    """A filter with a timeout that it starts again itself; subclasses say what `on_next` does."""

    def _start(self, event_watcher, scheduler, interval):
        self.event_watcher = event_watcher
        self.interval = interval
        self.timeout_thing = None
        if interval:
            self.timeout_thing = Timeout(scheduler, event_watcher.produce_event_for_timeout)
            self.timeout_thing.connect(self, port_mapping=("default", "timeout"))
            self.timeout_thing.start(interval)

    def _restart(self):
        if self.timeout_thing:
            self.timeout_thing.start(self.interval)

    def _stop(self):
        self.event_watcher.close()
        if self.timeout_thing:
            self.timeout_thing.clear()

    def on_completed(self):
        """Stop the timeout and pass the end on."""
        self._stop()
        self._dispatch_completed()

    def on_error(self, e):
        """Stop the timeout and pass the error on."""
        self._stop()
        self._dispatch_error(e)

    def on_timeout_next(self, x):
        """Nothing has come in time: emit what the watcher made."""
        self._restart()
        self._dispatch_next(x)

    def on_timeout_error(self, e):
        """Never: a Timeout has no errors."""
        raise FatalError(f"{self}.on_timeout_error should not be called")

    def on_timeout_completed(self):
        """Never: a Timeout has no end."""
        raise FatalError(f"{self}.on_timeout_completed should not be called")


class SupplyEventWhenTimeout(TimedFilter):
    """Passes events on; whenever none has come for `interval` seconds, emits what the event watcher makes."""

    def __init__(self, previous_in_chain, event_watcher, scheduler, interval):
        self._start(event_watcher, scheduler, interval)
        super().__init__(previous_in_chain, name="supply_event_when_timeout")

    def on_next(self, x):
        """Pass `x` on and wait anew."""
        self.event_watcher.on_next(x)
        self._restart()
        self._dispatch_next(x)


@filtermethod(OutputThing)
def supply_event_when_timeout(this, event_watcher, scheduler, interval):
    """Whenever no event has come for `interval` seconds emit `event_watcher.produce_event_for_timeout()`."""
    return SupplyEventWhenTimeout(this, event_watcher, scheduler, interval)
