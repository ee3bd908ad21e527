"""Operators that write what comes by, for a person to read."""

from bourn.chain import each
from bourn.operators.stage import Stage, staged


def output(file=None):
    """Print each event, to stdout or `file`, and emit it.

    >>> marbles("-1-2-|", output(), "-1-2-|")
    """

    def make(emit):
        def on_next(x):
            _print(x, file)
            emit(x)

        return on_next

    return each(make, "output")


class _Count(Stage):
    def __init__(self, file):
        self._file = file
        self._count = 0

    def on_next(self, x):
        self._count += 1
        self.emit(x)

    def flush(self):
        _print("%d events" % self._count, self._file)


def output_count(file=None):
    """Emit each event, and print their number when the stream ends, to stdout or `file`.

    >>> marbles("-1-2-|", output_count(), "-1-2-|")
    """
    return staged(lambda chain: _Count(file), "output_count")


def _print(x, file):
    if file is None:
        print(x)
    else:
        print(x, file=file)
