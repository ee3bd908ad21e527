"""ThingFlow's operators and a few more: what goes in and what comes out, as marbles, and what marbles don't show."""

import gc
import sys

from bourn import (
    OutputThing,
    SensorAsOutputThing,
    SensorEvent,
    aggregate,
    calibrate,
    clamp,
    drop,
    filter,
    first,
    last,
    map,
    merge,
    reduce,
    scan,
    select,
    skip,
    some,
    take,
    take_last,
    tap,
    where,
)
from bourn.testing import ManualClock, Recorder, marbles, raises
from run import Skip

TRUTH = {"t": True, "f": False}


def add(a, b):
    return a + b


def fail(x):
    raise ValueError("sink")


def behind(operators, policy="stop"):
    """A thing with operators before a recorder."""
    thing, sink = OutputThing(), Recorder()
    thing.pipe(*operators).connect(sink, policy)
    return thing, sink


def emit(thing, *events):
    for x in events:
        thing._dispatch_next(x)


# One event at a time


def test_map_and_where_under_both_names():
    marbles("-1-2-#", map(lambda x: 2 * x), "-2-4-#")
    marbles("-1-2-3-|", where(lambda x: x > 1), "---2-3-|")
    assert (select, filter, drop, aggregate) == (map, where, skip, reduce)


def test_tap_sees_every_event_before_the_sink():
    order = []
    thing = OutputThing()
    thing.pipe(tap(lambda x: order.append(("tap", x))), lambda x: order.append(("sink", x)))
    emit(thing, 1, 2)
    assert order == [("tap", 1), ("sink", 1), ("tap", 2), ("sink", 2)]
    thing, sink = behind([tap(lambda x: 1 // x)])
    emit(thing, 0, 1)
    assert (sink.events, type(sink.end)) == ([], ZeroDivisionError)


def test_clamp():
    marbles("-1-2-5-8-9-|", clamp(2, 8), "-2-2-5-8-8-|")
    thing, sink = behind([clamp(0, 1)])
    inside, nan = SensorEvent("t", 5, 0.5), SensorEvent("t", 5, float("nan"))
    emit(thing, SensorEvent("t", 5, -0.5), inside, nan, SensorEvent("t", 6, 2))
    assert sink.events[0] == ("t", 5, 0) and sink.events[3] == ("t", 6, 1)
    assert isinstance(sink.events[0], SensorEvent)
    assert sink.events[1] is inside and sink.events[2] is nan
    raises(ValueError, clamp, 2, 1)
    raises(ValueError, clamp, float("nan"), 1)


def test_calibrate_by_gain_and_offset():
    marbles("-1-2-|", calibrate(gain=3), "-3-6-|")
    marbles("-1-2-|", calibrate(offset=3), "-4-5-|")
    marbles("-1-2-|", calibrate(3, 1), "-4-7-|")
    thing, sink = behind([calibrate(gain=0.5, offset=-40)])
    emit(thing, SensorEvent("t", 7, 100))
    assert sink.events == [("t", 7, 10.0)] and isinstance(sink.events[0], SensorEvent)


def test_calibrate_by_points():
    table = [(10, 0), (0, 5), (20, 100)]  # falls to (10, 0), then rises
    thing, sink = behind([calibrate(points=table)])
    emit(thing, 0, 10, 20, 5, 15, -10, 30)
    assert sink.events == [5, 0, 100, 2.5, 50, 10, 200]
    thing, sink = behind([calibrate(points=[(1, 2), (2, 3)])])
    emit(thing, 0, 1.5, 4)
    assert sink.events == [1, 2.5, 5]
    raises(ValueError, calibrate, points=[(1, 1)])
    raises(ValueError, calibrate, points=[])
    raises(ValueError, calibrate, points=[(1, 1), (2, 2), (1, 3)])


# All so far


def test_scan():
    marbles("-1-2-3-|", scan(add), "-1-3-6-|")
    marbles("-1-2-3-#", scan(add, 1), "-2-4-7-#")
    marbles("-|", scan(add, 1), "-|")
    marbles("-1-2-|", scan(lambda a, b: b, None), "-1-2-|")
    seen = []
    marbles("-1-2-|", scan(lambda a, b: seen.append((a, b)), None), "-a-a-|", values={"a": None})
    assert seen == [(None, 1), (None, 2)]


def test_scan_begins_anew_for_who_comes_back():
    thing = OutputThing()
    chain = thing.pipe(scan(add))
    one, two = Recorder(), Recorder()
    disconnect = chain.connect(one)
    emit(thing, 1, 2)
    disconnect()
    chain.connect(two)
    emit(thing, 3, 4)
    assert (one.events, two.events) == ([1, 3], [3, 7])


def test_scan_keeps_its_state_when_a_sink_comes():
    thing = OutputThing()
    chain = thing.pipe(scan(add), skip(1))
    one, two = Recorder(), Recorder()
    chain.connect(one)
    emit(thing, 1, 2)
    chain.connect(two)
    emit(thing, 3)
    assert (one.events, two.events) == ([3, 6], [6])


def test_reduce():
    marbles("-1-2-3-|", reduce(add), "-------(6|)")
    marbles("-1-2-3-|", reduce(add, 3), "-------(9|)")
    marbles("-1-2-3-#", reduce(add), "-------#")
    marbles("---|", reduce(add, 3), "---(3|)")
    assert isinstance(marbles("---|", reduce(add), "---#"), ValueError)
    marbles("-1-|", reduce(add, None), "-#-")  # None is a seed like any other


# Places


def test_skip():
    marbles("-1-2-3-|", skip(1), "---2-3-|")
    marbles("-1-2-3-#", skip(3), "-------#")
    marbles("-1-2-|", skip(0), "-1-2-|")
    for count in (-1, 1.5, "1"):
        raises(ValueError, skip, count)


def test_take():
    marbles("-1-2-3-|", take(2), "-1-(2|)")
    marbles("-1-2-|", take(5), "-1-2-|")
    marbles("-1-2-#", take(5), "-1-2-#")
    marbles("-1-2-#", take(2), "-1-(2|)")
    marbles("-1-2-|", take(0), "-|")
    marbles("--|", take(0), "--|")
    raises(ValueError, take, -1)


def test_take_lets_the_source_go():
    thing, sink = behind([map(str), take(1)])
    emit(thing, 1)
    assert (sink.events, sink.end, thing._branches) == (["1"], "completed", ())


def test_take_in_a_circle_takes_no_more_than_it_says():
    class Late(Recorder):
        late = 0  # events after the end

        def on_next(self, x):
            super().on_next(x)
            self.late += self.end is not None

    for count in (1, 2, 3):
        thing, sink = OutputThing(), Late()

        def again(x, thing=thing):
            if x < 5:
                thing._dispatch_next(x + 1)

        thing.pipe(take(count), tap(again), sink)
        emit(thing, 1)
        assert (sink.events, sink.end) == (list(range(count, 0, -1)), "completed")
        assert sink.late == 0


def test_what_stands_behind_take_hears_of_one_end():
    marbles("-1-2-3-|", [take(2), take_last(2)], "---(12|)")
    marbles("-1-2-3-|", [take_last(2), take(1), reduce(add)], "-------(2|)")
    marbles("-1-2-3-|", [reduce(add), first(), last()], "-------(6|)")
    marbles("-12-|", lambda other: [take(1), merge(other)], "-1--5|", others=("----5|",))


def test_a_sink_that_fails_at_the_last_event_is_told():
    thing = OutputThing()
    sink = Recorder()
    sink.on_next = fail
    thing.pipe(take(1), sink)
    emit(thing, 1)
    assert isinstance(sink.end, ValueError)


def test_take_ends_also_when_its_last_event_was_passed_over():
    thing = OutputThing()
    sink = Recorder()
    thing.pipe(take(1), map(lambda x: 1 // x)).connect(sink, "skip")
    emit(thing, 0, 1)
    assert (sink.events, sink.end) == ([], "completed")


def test_first():
    marbles("-1-2-|", first(), "-(1|)")
    marbles("---|", first(), "---|")
    marbles("---|", first(default=7), "---(7|)")
    marbles("-1-|", first(default=7), "-(1|)")
    marbles("---#", first(default=7), "---#")
    marbles("---|", first(default=None), "---(a|)", values={"a": None})


def test_take_last_and_last():
    marbles("-1-2-3-|", take_last(2), "-------(23|)")
    marbles("-1-|", take_last(2), "---(1|)")
    marbles("-1-2-3-#", take_last(2), "-------#")
    marbles("-|", take_last(2), "-|")
    marbles("-1-2-3-|", last(), "-------(3|)")
    marbles("-1-2-3-#", last(), "-------#")
    marbles("---|", last(default=7), "---(7|)")
    marbles("-1-|", last(default=7), "---(1|)")
    assert isinstance(marbles("---|", last(), "---#"), ValueError)
    for count in (0, -1, 1.5):
        raises(ValueError, take_last, count)


def test_some():
    marbles("-1-2-3-|", some(lambda x: x > 1), "---(t|)", values=TRUTH)
    marbles("-1-2-3-|", some(lambda x: x > 5), "-------(f|)", values=TRUTH)
    marbles("-1-|", some(), "-(t|)", values=TRUTH)
    marbles("---|", some(), "---(f|)", values=TRUTH)
    marbles("-1-#", some(lambda x: x > 5), "---#", values=TRUTH)


def test_small_integers_cost_no_memory():
    if sys.implementation.name == "cpython":
        raise Skip("CPython keeps no such count")
    thing = OutputThing()
    total = 0

    def sink(x):
        nonlocal total
        total += x

    operators = (tap(abs), clamp(-5, 5), skip(3), scan(lambda a, b: (a + b) & 7), calibrate(2, 1), take(100000))
    thing.pipe(*operators + (sink,))
    events = tuple(range(100))
    for x in events:
        thing._emit(x)
    costs = []
    for take_one in (thing._emit, abs):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        for x in events:
            take_one(x)
        costs.append(gc.mem_alloc() - before)
        gc.enable()
    assert costs[0] == costs[1], costs
    assert total > 0


def test_with_a_sensor():
    class Counter:
        sensor_id = "c"
        count = 0

        def sample(self):
            self.count += 1
            return self.count

    thing, sink = SensorAsOutputThing(Counter(), ManualClock(wall=0)), Recorder()
    thing.pipe(calibrate(10), skip(1), take(2), sink)
    for _ in range(5):
        thing._observe()
    assert (sink.events, sink.end) == ([("c", 0, 20), ("c", 0, 30)], "completed")
