"""Marble tests: what goes into an operator and what comes out of it, each drawn as a line of time.

A character is one frame of time:

    -       a frame in which nothing happens
    1       the event 1; a digit stands for its number, any other character for itself, or for what `values` says
    |       the stream completes
    #       the stream fails
    (12|)   one frame in which several things happen, one after the other
    space   nothing at all: to line up one timeline with another
"""

from bourn.input_thing import InputThing
from bourn.scheduler import Scheduler
from bourn.testing.clock import ManualClock
from bourn.things import OutputThing

_END, _ERROR = "|", "#"


class _Trace(InputThing):
    """A sink that remembers (ms, mark, event); for ends the event is None."""

    def __init__(self, clock):
        self.clock = clock
        self.seen = []
        self.error = None

    def on_next(self, x):
        self.seen.append((self.clock.now(), "", x))

    def on_completed(self):
        self.seen.append((self.clock.now(), _END, None))

    def on_error(self, e):
        self.error = e
        self.seen.append((self.clock.now(), _ERROR, None))


def marbles(source, operators, expected, frame_ms=1000, values=None, others=()):
    """Run a source's timeline through operators, and raise AssertionError unless exactly `expected` comes out.

    `operators`: one, or a list or tuple of them, or, where they need other things, a function that is given an
    OutputThing for each of the timelines `others` and returns them. `values` says what a character stands for; for
    "#" in a source it is the exception, by default ValueError("#"), and "#" in `expected` is any exception. A frame
    is `frame_ms` ms of a ManualClock; timers that are due at a moment run before the events of that moment. The flow
    is watched to the end of the longest timeline. Returns the exception that the stream ended with, or None.

    >>> marbles("-1-2-3-|", map(lambda x: x * 2), "-2-4-6-|")
    """
    values = values or {}
    scheduler = Scheduler(ManualClock())
    things = [OutputThing() for _ in range(1 + len(others))]
    inputs = [_moments(text, frame_ms, values) for text in (source,) + tuple(others)]
    for thing in things:
        thing.scheduler = scheduler
    trace = _Trace(scheduler.clock)
    stages = operators if isinstance(operators, (list, tuple)) or hasattr(operators, "bind") else operators(*things[1:])
    things[0].pipe(*(tuple(stages if isinstance(stages, (list, tuple)) else (stages,)) + (trace,)))
    _play(scheduler, things, inputs, values.get(_ERROR, ValueError(_ERROR)))
    last = frame_ms * max([_frames(text) for text in (source, expected) + tuple(others)])
    _pass(scheduler, last)
    wanted = _moments(expected, frame_ms, values)
    if wanted != trace.seen:
        rows = [("source", inputs[0])] + [("other", one) for one in inputs[1:]]
        raise AssertionError(_drawn(rows + [("expected", wanted), ("received", trace.seen)], frame_ms, values))
    return trace.error


def _play(scheduler, things, inputs, error):
    """Let the inputs happen; those of one moment in the order of the things."""
    moments = [(m[0], i, k, m) for i, one in enumerate(inputs) for k, m in enumerate(one)]
    moments.sort(key=lambda m: m[:3])
    for ms, i, _, (_, mark, x) in moments:
        _pass(scheduler, ms)
        if mark == _END:
            things[i]._dispatch_completed()
        elif mark == _ERROR:
            things[i]._dispatch_error(error)
        else:
            things[i]._dispatch_next(x)


def _pass(scheduler, until):
    """Let time pass up to `until` ms, with what is due then."""
    clock = scheduler.clock
    wake = scheduler.next_wake()
    while wake is not None and wake <= until:
        clock.advance(max(0, wake - clock.now()))
        scheduler.run_due(clock.now())
        wake = scheduler.next_wake()
    clock.advance(until - clock.now())


def _cells(text):
    """The marks of each frame, as strings."""
    cells, group = [], None
    for c in text:
        if c == "(" and group is None:
            group = ""
        elif c == ")" and group is not None:
            cells.append(group)
            group = None
        elif c in "()" or (c == "-" and group is not None):
            raise ValueError("%r has no place there in %r" % (c, text))
        elif group is not None:
            group += c.strip()
        elif c != " ":
            cells.append("" if c == "-" else c)
    if group is not None:
        raise ValueError("a group is not closed in %r" % (text,))
    return cells


def _frames(text):
    return len(_cells(text)) - 1


def _moments(text, frame_ms, values):
    """What a timeline says, as (ms, mark, event)."""
    found = []
    for frame, marks in enumerate(_cells(text)):
        for c in marks:
            end = c in (_END, _ERROR)
            x = None if end else values.get(c, ord(c) - 48 if "0" <= c <= "9" else c)
            found.append((frame * frame_ms, c if end else "", x))
    return found


def _drawn(rows, frame_ms, values):
    """The timelines one above the other, frame by frame; an event that has no character is <written out>."""
    names = {repr(values[c]): c for c in values}
    grid = []
    for _, moments in rows:
        cells = {}
        for ms, mark, x in moments:
            text = mark or names.get(repr(x)) or (str(x) if str(x) in "0123456789" and str(x) else None)
            text = text or (x if isinstance(x, str) and len(x) == 1 else "<%r>" % (x,))
            off = "" if ms % frame_ms == 0 else "@%dms" % ms
            cells.setdefault(ms // frame_ms, []).append(text + off)
        grid.append(cells)
    lines = ["%-10s" % name for name, _ in rows]
    for frame in range(1 + max([max(list(cells) + [0]) for cells in grid])):
        column = [cells.get(frame, ["-"]) for cells in grid]
        column = ["".join(cell) if len(cell) == 1 else "(" + "".join(cell) + ")" for cell in column]
        width = max([len(cell) for cell in column])
        lines = [line + cell + " " * (width - len(cell)) for line, cell in zip(lines, column)]
    return "\n" + "\n".join([line.rstrip() for line in lines])
