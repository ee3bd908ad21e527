"""Operators that choose events by their place in the stream: the first, the last, some of them."""

from bourn.chain import Operator
from bourn.operators.accumulate import NONE
from bourn.operators.stage import Stage, staged


def _checked(count, least):
    if not isinstance(count, int) or count < least:
        raise ValueError("a number of events is an integer of at least %d, not %r" % (least, count))
    return count


def skip(count):
    """Emit all events but the first `count`. Also called `drop`. ValueError: a negative number.

    >>> marbles("-1-2-3-|", skip(2), "-----3-|")
    """
    _checked(count, 0)

    def bind(state, emit, complete, fail):
        def on_next(x):
            if state[0]:
                state[0] -= 1
            else:
                emit(x)

        return on_next, complete, fail

    return Operator(bind, lambda chain: [count], name="skip", args=(count,))


drop = skip


class _Take(Stage):
    def __init__(self, count):
        self._left = count
        self._depth = 0  # a sink may cause the next event inside of this one; the end comes after both

    def on_next(self, x):
        if self._left:
            self._left -= 1
            self._depth += 1
            try:
                self.emit(x)
            finally:
                self._depth -= 1
        if not self._left and not self._depth:
            self.end()


def take(count):
    """Emit the first `count` events; the stream completes with the last of them.

    `take(0)` completes with the first event, which it does not emit. ValueError: a negative number.

    >>> marbles("-1-2-3-|", take(2), "-1-(2|)")
    """
    _checked(count, 0)
    return staged(lambda chain: _Take(count), "take", (count,))


class _First(_Take):
    def __init__(self, default):
        super().__init__(1)
        self._default = default

    def on_completed(self):
        if self._left and self._default is not NONE:
            self.emit(self._default)
        self.end()


def first(default=NONE):
    """Emit the first event and complete; where none came, `default` if there is one.

    >>> marbles("-1-2-3-|", first(), "-(1|)")
    """
    return staged(lambda chain: _First(default), "first")


class _TakeLast(Stage):
    def __init__(self, count):
        self._count = count
        self._held = []

    def on_next(self, x):
        if len(self._held) == self._count:
            self._held.pop(0)
        self._held.append(x)

    def on_completed(self):
        while self._held:
            self.emit(self._held.pop(0))
        self.end()

    def on_error(self, e):
        self.end(e)


def take_last(count):
    """Emit the last `count` events, in their order, when the stream completes; none of a stream that fails.

    It holds at most `count` events. ValueError: a number below 1.

    >>> marbles("-1-2-3-|", take_last(2), "-------(23|)")
    """
    _checked(count, 1)
    return staged(lambda chain: _TakeLast(count), "take_last", (count,))


class _Last(_TakeLast):
    def __init__(self, default):
        super().__init__(1)
        self._default = default

    def on_completed(self):
        if self._held:
            super().on_completed()
        elif self._default is NONE:
            self.end(ValueError("last: the stream has ended without an event"))
        else:
            self.emit(self._default)
            self.end()


def last(default=NONE):
    """Emit the last event when the stream completes; where none came `default`, without one the stream fails.

    The error is a ValueError then. Of a stream that fails nothing is emitted but its error.

    >>> marbles("-1-2-3-|", last(), "-------(3|)")
    """
    return staged(lambda chain: _Last(default), "last")


class _Some(Stage):
    def __init__(self, predicate):
        self._predicate = predicate

    def on_next(self, x):
        if self._predicate is None or self._predicate(x):
            self.emit(True)
            self.end()

    def on_completed(self):
        self.emit(False)
        self.end()

    def on_error(self, e):
        self.end(e)


def some(predicate=None):
    """Emit True and complete at the first event for which `predicate(x)` is true; False when the stream ends first.

    Without a predicate any event will do.

    >>> marbles("-1-2-3-|", some(lambda x: x > 1), "---(a|)", values={"a": True})
    """
    return staged(lambda chain: _Some(predicate), "some", () if predicate is None else (predicate,))
