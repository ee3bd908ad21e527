"""Operators that look at one event at a time and remember nothing."""

from bourn.chain import each


def map(f):
    """Emit `f(x)` for each event `x`. Also called `select`.

    >>> marbles("-1-2-|", map(lambda x: x + 1), "-2-3-|")
    """

    def make(emit):
        def on_next(x):
            emit(f(x))

        return on_next

    return each(make, "map", f)


def where(predicate):
    """Emit those events for which `predicate(x)` is true. Also called `filter`.

    >>> marbles("-1-2-3-|", where(lambda x: x != 2), "-1---3-|")
    """

    def make(emit):
        def on_next(x):
            if predicate(x):
                emit(x)

        return on_next

    return each(make, "where", predicate)


def tap(f):
    """Call `f(x)` for each event `x`, and emit `x`. What `f` raises is an exception of the chain.

    >>> marbles("-1-2-|", tap(seen.append), "-1-2-|")
    """

    def make(emit):
        def on_next(x):
            f(x)
            emit(x)

        return on_next

    return each(make, "tap", f)


select = map
filter = where
