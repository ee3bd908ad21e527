"""Operators that correct the value of each event, and leave its name and time as they are."""

from bourn.chain import each
from bourn.operators.value import like, value


def clamp(low, high):
    """Emit each event with its value brought into `low`..`high`; one that is inside, or NaN, as it came.

    ValueError when `low` is above `high`.

    >>> marbles("-1-5-9-|", clamp(2, 8), "-2-5-8-|")
    """
    if not low <= high:
        raise ValueError("clamp(low, high): %r is not below %r" % (low, high))

    def make(emit):
        def on_next(x):
            val = value(x)
            if val < low:
                emit(like(x, low))
            elif val > high:
                emit(like(x, high))
            else:
                emit(x)

        return on_next

    return each(make, "clamp", low, high)


def calibrate(gain=1, offset=0, points=None):
    """Emit each event with the value `gain * val + offset`, or as a table of `points` says.

    `points` are two or more pairs (measured, true) with different measured values, in any order: a value between two
    of them lies on the straight line between these, one outside on that through the nearest two. ValueError for
    fewer points, or two true values of one measured.

    >>> marbles("-1-2-|", calibrate(gain=2, offset=1), "-3-5-|")
    """
    if points is None:

        def correct(val):
            return gain * val + offset
    else:
        correct = _through(sorted(points))

    def make(emit):
        def on_next(x):
            emit(like(x, correct(value(x))))

        return on_next

    if points is None:
        return each(make, "calibrate", gain, offset)
    return each(make, "calibrate", points)


def _through(points):
    """The function whose graph goes straight from each of the sorted points to the next."""
    last = len(points) - 1
    if last < 1:
        raise ValueError("calibrate needs at least two points")
    for i in range(last):
        if not points[i][0] < points[i + 1][0]:
            raise ValueError("calibrate: two points for the measured value %r" % (points[i][0],))

    def correct(val):
        i = 0
        while i < last - 1 and val > points[i + 1][0]:
            i += 1
        x, y = points[i]
        to_x, to_y = points[i + 1]
        return y + (val - x) * (to_y - y) / (to_x - x)

    return correct
