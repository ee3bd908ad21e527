"""What operators with state are made of: a stage, and a timer.

What a stage withholds it emits first when the stream ends, by completion or by error: what was received was received.
"""

from bourn.chain import Operator
from bourn.operators.timing import later


class Stage:
    """The state of one operator in one chain. `emit` and `end` lead to what comes after it."""

    # Set whenever the chain is bound, so always called as attributes and never kept elsewhere. Once a stage has ended
    # they lead nowhere: what comes after it may go on (a merge does), but it has nothing more to say there.
    emit = _complete = _fail = None
    _ended = False

    def on_next(self, x):
        """Take one event."""
        self.emit(x)

    def flush(self):
        """Emit what is withheld: nothing comes any more."""

    def on_completed(self):
        """The stream has ended."""
        self.flush()
        self.end()

    def on_error(self, e):
        """The stream has failed; the error is told also when what is flushed finds another one."""
        try:
            self.flush()
        finally:
            self.end(e)

    def end(self, error=None):
        """The stream ends here, once and for all: completed, or failed with `error`."""
        complete, fail = self._complete, self._fail
        self._ended = True
        self.bind(nothing, nothing, nothing)
        if error is None:
            complete()
        else:
            fail(error)

    def bind(self, emit, complete, fail):
        """Lead to what comes after, from now on."""
        self.emit = emit
        self._complete = complete
        self._fail = fail


def nothing(x=None):
    """Take an event, or an end, to no effect."""


def _bind(state, emit, complete, fail):
    if not state._ended:
        state.bind(emit, complete, fail)
    return state.on_next, state.on_completed, state.on_error


def staged(start, name, args=(), attach=None, counters=None, first=False):
    """An operator whose state is the Stage that `start(chain)` makes."""
    return Operator(_bind, start, attach, name, args, counters, first)


def milliseconds(s):
    """`s` seconds as an integer of milliseconds, at least 1. ValueError otherwise."""
    ms = round(s * 1000)
    if ms < 1:
        raise ValueError("a time is at least 0.001 s, not %r" % (s,))
    return ms


class Timer:
    """Calls `function()` once under the chain's guard, at the time that was set last; gone when the chain is detached.

    Setting it anew takes the former time back, so that no device wakes for a time that does not count any more.
    """

    def __init__(self, chain, function):
        self._chain = chain
        self._function = function
        self._cancel = None  # while it is set

    def start(self, ms):
        """Call in `ms` milliseconds instead of whenever it was to be."""
        self.stop()
        self._cancel = later(self._chain, ms, self._fire)

    def stop(self):
        """Do not call."""
        if self._cancel:
            self._cancel()
            self._cancel = None

    def running(self):
        """True while it is set."""
        return self._cancel is not None

    def _fire(self):
        self._cancel = None
        self._function()
