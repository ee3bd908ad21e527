"""Operators that look at one event at a time and remember nothing."""

from bourn.chain import each


def map(f):
    """Emit `f(x)` for each event `x`: `map(str)` turns 1, 2 into "1", "2"."""

    def make(emit):
        def on_next(x):
            emit(f(x))

        return on_next

    return each(make, "map", f)


def where(predicate):
    """Emit those events for which `predicate(x)` is true: `where(lambda e: e.val > 50)`."""

    def make(emit):
        def on_next(x):
            if predicate(x):
                emit(x)

        return on_next

    return each(make, "where", predicate)
