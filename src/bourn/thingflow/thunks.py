"""The functional API: a filter called without its source is a *thunk*, which makes the filter when it gets one.

Everything that stands in a row of `compose`, `parallel`, `schedule_sensor` is connected by `connect_thunk`: a thunk, a
filter function that was not called at all, an input thing, or a plain function.
"""

from __future__ import annotations


class Thunk:
    """Makes a filter when it is given the thing before it."""

    __thunk__ = True

    def __init__(self, function, args=(), options=()):
        self.function = function
        self.args = args
        self.options = dict(options)
        self.__name__ = getattr(function, "__name__", "thunk")

    def __call__(self, this):
        """Connect to `this`; returns the end of the chain (None: there is none)."""
        return self.function(this, *self.args, **self.options)


class FilterFunction:
    """A filter under its own name: calling it with the arguments of the filter, but no source, gives a Thunk."""

    def __init__(self, function):
        self.function = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *args, **options):
        return Thunk(self.function, args, options)

    def __repr__(self):
        return f"FilterFunction({self.__name__})"


def make_thunk(function):
    """Mark `function(this)` as a thunk of its own."""
    function.__thunk__ = True
    return function


def connect_thunk(prev, thunk):
    """Connect `thunk` to `prev`; returns the end of the chain, what disconnects an input thing, None for a function."""
    if isinstance(thunk, FilterFunction):
        thunk = thunk()
    if hasattr(thunk, "__thunk__"):
        return thunk(prev)
    disconnect = prev.connect(thunk)
    return None if callable(thunk) else disconnect


def connect_sequence(thing, sequence):
    """Connect one after the other; returns the end. TypeError where something stands behind what emits nothing."""
    for one in sequence:
        if not hasattr(thing, "connect"):
            raise TypeError(f"{one!r} stands behind an input thing or a function, which emit nothing")
        thing = connect_thunk(thing, one)
    return thing


def filtermethod(base, alias=None):
    """Decorate `function(this, ...)`: it becomes a method of `base`, and a FilterFunction under its name and aliases.

    `base` is `bourn.thingflow.base.OutputThing` or a subclass; nothing is attached to Bourn's own classes.
    """
    aliases = [] if alias is None else alias if isinstance(alias, list) else [alias]

    def decorate(function):
        made = FilterFunction(function)
        for name in [function.__name__, *aliases]:
            setattr(base, name, function)
            function.__globals__[name] = made
        return made

    return decorate
