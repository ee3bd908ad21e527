"""What a test looks at afterwards: a sink that remembers, and `raises`."""

from bourn.input_thing import InputThing


class Recorder(InputThing):
    """A sink that remembers: `events`, and `end` ("completed", the exception, or None while it goes on)."""

    def __init__(self):
        self.events = []
        self.end = None

    def on_next(self, x):
        """Remember `x`."""
        self.events.append(x)

    def on_completed(self):
        """Remember the end."""
        self.end = "completed"

    def on_error(self, e):
        """Remember the exception."""
        self.end = e


def raises(kind, function, *args, **options):
    """Call `function` and return the exception of `kind` that it raises; AssertionError when it raises none.

    Another exception comes out as it is. `kind` may be a tuple of classes.

    >>> assert raises(ZeroDivisionError, divmod, 1, 0)
    """
    try:
        function(*args, **options)
    except kind as e:
        return e
    raise AssertionError("%r raised nothing, not %r" % (function, kind))
