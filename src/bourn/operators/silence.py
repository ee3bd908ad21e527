"""Operators that do something when nothing comes. They withhold nothing."""

import errno

from bourn.operators.stage import Stage, Timer, milliseconds, staged


class _Heartbeat(Stage):
    def __init__(self, chain, ms):
        self._ms = ms
        self._last = None
        self._timer = Timer(chain, self._beat)

    def on_next(self, x):
        self._last = x
        self._timer.start(self._ms)
        self.emit(x)

    def _beat(self):
        self._timer.start(self._ms)
        self.emit(self._last)

    def flush(self):
        self._timer.stop()


def heartbeat(s):
    """Emit each event, and the latest again whenever `s` seconds have passed without one; ends with the stream.

    Nothing is repeated before the first event. A SensorEvent is repeated as it was, its time included.

    >>> marbles("1----2|", heartbeat(s=2), "1-1-12|")
    """
    ms = milliseconds(s)
    return staged(lambda chain: _Heartbeat(chain, ms), "heartbeat", (s,))


class _Timeout(Stage):
    def __init__(self, chain, ms, event):
        self._ms = ms
        self._event = event
        self._timer = Timer(chain, self._quiet)

    def on_next(self, x):
        self._timer.start(self._ms)
        self.emit(x)

    def _quiet(self):
        if self._event is None:
            self.end(OSError(errno.ETIMEDOUT, "no event for %g s" % (self._ms / 1000)))
            return
        self._timer.start(self._ms)
        self.emit(self._event() if callable(self._event) else self._event)

    def flush(self):
        self._timer.stop()

    def begin(self, chain):
        if chain.root().scheduler is not None:
            self._timer.start(self._ms)
        return self.flush


def timeout(s, event=None):
    """Fail with OSError(ETIMEDOUT), which is CPython's TimeoutError, when `s` seconds have passed without an event.

    With `event` the stream goes on: it is emitted in place of the error, every `s` seconds while nothing comes; when it
    is callable, what it returns is. Time counts from connecting where the source has a scheduler by then, else
    from the first event.

    >>> marbles("1----2|", timeout(s=2), "1-#")
    """
    ms = milliseconds(s)
    return staged(
        lambda chain: _Timeout(chain, ms, event),
        "timeout",
        (s,),
        lambda state, chain: state.begin(chain),
    )


class _Supply(_Timeout):
    def __init__(self, chain, ms, watcher):
        super().__init__(chain, ms, watcher.produce_event_for_timeout)
        self._watcher = watcher

    def on_next(self, x):
        self._watcher.on_next(x)
        super().on_next(x)

    def end(self, error=None):
        if not self._ended and hasattr(self._watcher, "close"):
            self._watcher.close()
        super().end(error)


def supply_event_when_timeout(watcher, s):
    """Emit `watcher.produce_event_for_timeout()` when `s` seconds have passed without an event, and every `s` after.

    `watcher.on_next(x)` is called with each event before it is emitted, `watcher.close()`, where there is one, at the
    end. Time counts as with `timeout`.

    >>> marbles("-1---|", supply_event_when_timeout(watcher, s=2), "-1-0-(0|)")
    """
    ms = milliseconds(s)
    return staged(
        lambda chain: _Supply(chain, ms, watcher),
        "supply_event_when_timeout",
        (s,),
        lambda state, chain: state.begin(chain),
    )
