"""Event streams: what a sink is promised, whatever its neighbours do."""

import gc
import sys

from bourn import Operator, OutputThing, SensorAsOutputThing, SensorEvent, _compat, map, where
from bourn.testing import ManualClock, PowerCut, Recorder
from run import Skip


class Failing(Recorder):
    """A recorder that raises at the events in `at`, and where asked at its end."""

    def __init__(self, *at, completed=None, error=None):
        super().__init__()
        self.at = at
        self.completed = completed
        self.error = error
        self.told = []

    def on_next(self, x):
        super().on_next(x)
        if x in self.at:
            raise ValueError(x)

    def on_completed(self):
        super().on_completed()
        if self.completed:
            raise self.completed

    def on_error(self, e):
        super().on_error(e)
        self.told.append(e)
        if self.error:
            raise self.error


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as e:
        return e
    raise AssertionError("no %s" % kind.__name__)


def emit(thing, *events):
    for x in events:
        thing._dispatch_next(x)


def quiet(function, *arguments):
    """What is printed as a traceback meanwhile."""
    printed = []
    original = _compat.print_exception
    _compat.print_exception = lambda e, file=None: printed.append(e)
    try:
        function(*arguments)
    finally:
        _compat.print_exception = original
    return printed


def counting():
    """An operator with state: [how many came before, x]."""

    def bind(state, emit, complete, fail):
        def on_next(x):
            state[0] += 1
            emit([state[0], x])

        return on_next, complete, fail

    return Operator(bind, lambda chain: [0])


def until(last):
    """An operator that ends the stream by itself after `last`."""

    def bind(state, on_next, on_completed, on_error):
        def following(x):
            on_next(x)
            if x == last:
                on_completed()

        return following, on_completed, on_error

    return Operator(bind)


# Connecting


def test_every_sink_has_every_event_in_the_order_of_connecting():
    thing = OutputThing()
    seen = []
    for name in ("a", "b", "c"):
        thing.connect(lambda x, name=name: seen.append((name, x)))
    emit(thing, 1, 2)
    assert seen == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2), ("c", 2)]


def test_sinks_are_things_with_on_next_or_callables():
    class OnlyNext:
        def __init__(self):
            self.events = []

        def on_next(self, x):
            self.events.append(x)

    thing, events, only, recorder = OutputThing(), [], OnlyNext(), Recorder()
    thing.connect(events.append)
    thing.connect(only)
    thing.connect(recorder)
    emit(thing, 1)
    thing._dispatch_completed()
    assert (events, only.events, recorder.events, recorder.end) == ([1], [1], [1], "completed")
    assert thing.errors == 0


def test_what_is_no_sink_is_refused():
    thing = OutputThing()
    raises(TypeError, thing.connect, 5)
    raises(ValueError, thing.connect, print, "ignore")
    emit(thing, 1)
    assert thing.errors == 0


def test_disconnect():
    thing, one, two = OutputThing(), Recorder(), Recorder()
    disconnect = thing.connect(one)
    thing.connect(two)
    emit(thing, 1)
    disconnect()
    disconnect()
    emit(thing, 2)
    thing._dispatch_completed()
    assert (one.events, one.end) == ([1], None)
    assert (two.events, two.end) == ([1, 2], "completed")


def test_one_sink_connected_twice_is_two_branches():
    thing, seen = OutputThing(), []

    def sink(x):
        seen.append(x)

    first = thing.connect(sink)
    thing.connect(sink)
    emit(thing, 1)
    first()
    emit(thing, 2)
    assert seen == [1, 1, 2]


def test_connecting_in_a_dispatch_takes_effect_with_the_next_event():
    thing, late = OutputThing(), Recorder()

    def connecting(x):
        if x == 1:
            thing.connect(late)

    thing.connect(connecting)
    emit(thing, 1, 2)
    assert late.events == [2]


def test_disconnecting_in_a_dispatch_takes_effect_with_the_next_event():
    thing, later = OutputThing(), Recorder()
    ends = []
    thing.connect(lambda x: [end() for end in ends])
    ends.append(thing.connect(later))
    own = []
    seen = []

    def once(x):
        seen.append(x)
        own[0]()

    own.append(thing.connect(once))
    emit(thing, 1, 2)
    assert later.events == [1]
    assert seen == [1]


# The end of a stream


def test_at_most_one_terminal_event():
    for first in ("completed", "error"):
        thing, sink = OutputThing(), Failing()
        thing.connect(sink)
        error = ValueError("over")
        for end in (first, "completed", "error"):
            if end == "completed":
                thing._dispatch_completed()
            else:
                thing._dispatch_error(error)
            emit(thing, 1)
        assert sink.end == ("completed" if first == "completed" else error)
        assert (sink.events, len(sink.told)) == ([], 0 if first == "completed" else 1)


def test_a_terminal_event_that_causes_another_finds_nobody():
    thing, after = OutputThing(), Failing()
    seen = []

    class Ending(Recorder):
        def on_completed(self):
            seen.append("completed")
            thing._dispatch_error(ValueError("again"))
            thing._dispatch_completed()

    thing.connect(Ending())
    thing.connect(after)
    thing._dispatch_completed()
    assert (seen, after.end, after.told) == (["completed"], "completed", [])


def test_nothing_comes_after_the_end_even_when_a_dispatch_is_under_way():
    thing, before, after = OutputThing(), Recorder(), Recorder()
    thing.connect(before)
    thing.connect(lambda x: thing._dispatch_completed())
    thing.connect(after)
    emit(thing, 1)
    assert (before.events, before.end) == ([1], "completed")
    assert (after.events, after.end) == ([], "completed")


def test_a_sink_that_fails_after_its_end_is_not_told_again():
    thing = OutputThing()

    class Ending(Failing):
        def on_next(self, x):
            thing._dispatch_completed()
            raise ValueError(x)

    sink = Ending()
    thing.connect(sink)
    emit(thing, 1)
    assert (sink.end, sink.told, thing.errors) == ("completed", [], 1)


# Failing sinks


def test_policy_stop_tells_the_failing_sink_and_leaves_its_neighbours_alone():
    thing, before, failing, after = OutputThing(), Recorder(), Failing(2), Recorder()
    for sink in (before, failing, after):
        thing.connect(sink)
    emit(thing, 1, 2, 3)
    assert before.events == after.events == [1, 2, 3]
    assert failing.events == [1, 2]
    assert isinstance(failing.end, ValueError) and failing.end.args == (2,)
    assert (before.end, after.end, thing.errors, len(thing._branches)) == (None, None, 1, 2)
    thing._dispatch_completed()
    assert len(failing.told) == 1 and failing.end is failing.told[0]
    assert before.end == after.end == "completed"


def test_policy_skip_passes_over_the_event():
    thing, failing, after = OutputThing(), Failing(1, 3), Recorder()
    thing.connect(failing, policy="skip")
    thing.connect(after)
    emit(thing, 1, 2, 3, 4)
    assert failing.events == after.events == [1, 2, 3, 4]
    assert (failing.end, failing.told, thing.errors) == (None, [], 2)


def test_a_failing_callable_is_reported():
    thing = OutputThing()
    seen = []

    def failing(x):
        seen.append(x)
        raise ValueError(x)

    printed = quiet(lambda: (thing.connect(failing), emit(thing, 1, 2)))
    assert (seen, [e.args for e in printed], thing.errors) == ([1], [(1,)], 1)


def test_a_sink_that_fails_when_told_does_not_harm_its_neighbours():
    thing, failing, after = OutputThing(), Failing(1, error=KeyError("worse")), Recorder()
    thing.connect(failing)
    thing.connect(after)
    printed = quiet(emit, thing, 1, 2)
    assert after.events == [1, 2]
    assert (thing.errors, [e.args for e in printed]) == (2, [("worse",)])


def test_failures_at_the_end_do_not_harm_the_neighbours():
    for error in (None, ValueError("over")):
        thing, after = OutputThing(), Recorder()
        failing = Failing(completed=KeyError("first"), error=KeyError("second"))
        thing.connect(failing)
        thing.connect(after)
        if error:
            printed = quiet(thing._dispatch_error, error)
            assert (after.end, failing.told, thing.errors) == (error, [error], 1)
        else:
            printed = quiet(thing._dispatch_completed)
            assert (after.end, len(failing.told), thing.errors) == ("completed", 1, 2)
            assert failing.told[0].args == ("first",)
        assert [e.args for e in printed] == [("second",)]


def test_what_is_no_exception_of_the_program_comes_out():
    thing, after = OutputThing(), Recorder()

    def interrupted(x):
        raise PowerCut()

    thing.connect(interrupted, policy="skip")
    thing.connect(after)
    raises(PowerCut, emit, thing, 1)
    assert (after.events, thing.errors) == ([], 0)


# Chains


def test_a_chain_of_operators():
    thing, sink = OutputThing(), Recorder()
    disconnect = thing.pipe(where(lambda x: x % 2), map(lambda x: x * 10), map(str), sink)
    emit(thing, 1, 2, 3)
    disconnect()
    emit(thing, 5)
    assert (sink.events, sink.end) == (["10", "30"], None)
    assert thing._branches == ()


def test_ends_pass_through_a_chain():
    for error in (None, ValueError("over")):
        thing, sink = OutputThing(), Failing()
        thing.pipe(map(str)).pipe(where(bool), sink)
        emit(thing, 1)
        if error:
            thing._dispatch_error(error)
        else:
            thing._dispatch_completed()
        emit(thing, 2)
        assert (sink.events, sink.end) == (["1"], error or "completed")


def test_pipe_without_operators():
    thing, sink = OutputThing(), Recorder()
    assert thing.pipe() is thing
    disconnect = thing.pipe(sink)
    emit(thing, 1)
    disconnect()
    emit(thing, 2)
    assert sink.events == [1]


def test_what_is_no_pipe_is_refused():
    thing = OutputThing()
    raises(TypeError, thing.pipe, Recorder(), map(str))
    raises(TypeError, thing.pipe, map(str), Recorder(), map(str))
    raises(TypeError, thing.pipe, map(str), Recorder(), Recorder())
    raises(TypeError, thing.pipe, map(str), 5)
    assert thing._branches == ()


def test_state_is_of_each_binding():
    operator = counting()
    thing, one, two = OutputThing(), Recorder(), Recorder()
    thing.pipe(operator, one)
    emit(thing, "a")
    end = thing.pipe(operator, two)
    emit(thing, "b")
    end()
    thing.pipe(operator, two)
    emit(thing, "c")
    assert one.events == [[1, "a"], [2, "b"], [3, "c"]]
    assert two.events == [[1, "b"], [1, "c"]]


def test_a_chain_is_shared_by_its_sinks_and_bound_while_it_has_some():
    thing, one, two = OutputThing(), Recorder(), Recorder()
    chain = thing.pipe(counting())
    emit(thing, "nobody")
    assert thing._branches == ()
    first = chain.connect(one)
    emit(thing, "a")
    second = chain.connect(two)
    emit(thing, "b")
    first()
    emit(thing, "c")
    second()
    second()
    assert thing._branches == ()
    emit(thing, "d")
    chain.connect(one)
    emit(thing, "e")
    assert one.events == [[1, "a"], [2, "b"], [1, "e"]]
    assert two.events == [[2, "b"], [3, "c"]]


def test_a_chain_on_a_chain():
    thing, middle, end = OutputThing(), Recorder(), Recorder()
    chain = thing.pipe(map(lambda x: x + 1))
    chain.connect(middle)
    disconnect = chain.pipe(map(lambda x: x * 2), end)
    emit(thing, 1)
    disconnect()
    emit(thing, 2)
    assert (middle.events, end.events) == ([2, 3], [4])


def test_connecting_in_a_dispatch_of_a_chain():
    thing, late = OutputThing(), Recorder()
    chain = thing.pipe(map(str))
    chain.connect(lambda x: x == "1" and chain.connect(late))
    emit(thing, 1, 2)
    assert late.events == ["2"]


def test_a_fan_out_guards_each_of_its_branches():
    thing, stopping, skipping, after, beside = OutputThing(), Failing(20), Failing(20), Recorder(), Recorder()
    chain = thing.pipe(map(lambda x: x * 10))
    chain.connect(stopping)
    chain.connect(skipping, policy="skip")
    chain.connect(after)
    thing.connect(beside)
    emit(thing, 1, 2, 3)
    assert stopping.events == [10, 20] and len(stopping.told) == 1
    assert skipping.events == after.events == [10, 20, 30]
    assert beside.events == [1, 2, 3]
    assert (chain.errors, thing.errors) == (2, 0)


def test_a_failing_operator_ends_its_own_branch_only():
    thing, beside, one, two = OutputThing(), Recorder(), Failing(), Failing()
    chain = thing.pipe(counting(), map(lambda x: 1 // (x[1] - 2)))
    chain.connect(one)
    chain.connect(two)
    thing.connect(beside)
    emit(thing, 1, 2, 3)
    assert one.events == two.events == [-1]
    assert len(one.told) == len(two.told) == 1
    assert isinstance(one.end, ZeroDivisionError) and one.end is two.end
    assert (beside.events, beside.end, thing.errors) == ([1, 2, 3], None, 1)


def test_a_failing_operator_passes_over_the_event_where_that_is_the_policy():
    thing, sink = OutputThing(), Failing()
    thing.pipe(map(lambda x: 1 // (x - 2))).connect(sink, policy="skip")
    emit(thing, 1, 2, 3)
    assert (sink.events, sink.told, thing.errors) == ([-1, 1], [], 1)


def test_a_sink_keeps_its_policy_when_it_is_the_last_one_left():
    for first, second, events in (("stop", "skip", [1, 2, 3]), ("skip", "stop", [1, 2])):
        thing, sink = OutputThing(), Failing(2)
        chain = thing.pipe(map(lambda x: x))
        disconnect = chain.connect(Recorder(), policy=first)
        chain.connect(sink, policy=second)
        emit(thing, 1)
        disconnect()
        emit(thing, 2, 3)
        assert (sink.events, len(sink.told)) == (events, 1 if second == "stop" else 0), first


def test_a_chain_that_has_ended_can_be_used_again():
    def completed(thing):
        thing._dispatch_completed()

    def failed(thing):
        emit(thing, 0)

    for end in (completed, failed):
        thing, first, second = OutputThing(), Failing(), Failing()
        chain = thing.pipe(map(lambda x: 6 // x), counting())
        chain.connect(first)
        emit(thing, 1)
        end(thing)
        chain.connect(second)
        emit(thing, 2)
        assert (first.events, second.events) == ([[1, 6]], [[1, 3]])
        assert len(thing._branches) == 1


def test_an_operator_that_ends_the_stream_lets_the_source_go():
    thing, sink = OutputThing(), Failing()
    chain = thing.pipe(until(2), map(str))
    chain.connect(sink)
    emit(thing, 1, 2, 3)
    thing._dispatch_completed()
    assert (sink.events, sink.end, sink.told) == (["1", "2"], "completed", [])
    chain.connect(sink)
    emit(thing, 1)
    assert sink.events == ["1", "2", "1"]


def test_a_long_chain_allocates_nothing_per_event():
    if sys.implementation.name == "cpython":
        raise Skip("CPython keeps no such count")
    thing = OutputThing()
    total = 0

    def sink(x):
        nonlocal total
        total += x

    thing.pipe(where(lambda x: x > 0), map(lambda x: x + 1), where(lambda x: x < 1000), map(lambda x: x - 1), sink)
    thing.connect(sink)
    events = tuple(range(100))
    emit_all = thing._dispatch_next
    for x in events:
        emit_all(x)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for x in events:
        emit_all(x)
    after = gc.mem_alloc()
    gc.enable()
    assert after - before == gc_cost(events), after - before
    assert total == 4 * sum(events)


def gc_cost(events):
    """What the same loop allocates without a dispatch."""
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in events:
        pass
    after = gc.mem_alloc()
    gc.enable()
    return after - before


# Sensors


class Thermometer:
    sensor_id = "t1"

    def __init__(self, *values):
        self.values = list(values)

    def sample(self):
        val = self.values.pop(0)
        if isinstance(val, BaseException):
            raise val
        return val


def test_a_sensor_emits_readings():
    clock, sink = ManualClock(wall=1000), Recorder()
    thing = SensorAsOutputThing(Thermometer(21.5, [1, 2], None), clock)
    thing.connect(sink)
    for _ in range(3):
        assert thing._observe() is True
        clock.advance(10)
    assert sink.events == [("t1", 1000, 21.5), ("t1", 1010, [1, 2]), ("t1", 1020, None)]
    assert isinstance(sink.events[0], SensorEvent)
    assert (sink.events[0].sensor_id, sink.events[0].ts, sink.events[0].val) == ("t1", 1000, 21.5)


def test_a_sensor_that_fails_ends_its_stream_by_default():
    error, sink = OSError(5, "bus"), Recorder()
    thing = SensorAsOutputThing(Thermometer(1, error), ManualClock())
    thing.connect(sink)
    assert thing._observe() is True
    assert thing._observe() is False
    assert (len(sink.events), sink.end) == (1, error)
    assert (thing.failures, thing.last_error) == (1, error)


def test_a_sensor_that_fails_is_left_out_once_where_that_is_the_policy():
    error, sink = OSError(5, "bus"), Recorder()
    thing = SensorAsOutputThing(Thermometer(1, error, error, 2), ManualClock(), policy="skip")
    thing.connect(sink)
    assert [thing._observe() for _ in range(4)] == [True] * 4
    assert [e.val for e in sink.events] == [1, 2]
    assert (sink.end, thing.failures, thing.last_error, thing.errors) == (None, 2, error, 0)


def test_a_sensor_may_end_its_stream():
    for policy in ("stop", "skip"):
        sink = Recorder()
        thing = SensorAsOutputThing(Thermometer(1, StopIteration()), ManualClock(), policy=policy)
        thing.connect(sink)
        assert [thing._observe(), thing._observe()] == [True, False]
        assert (sink.end, thing.failures) == ("completed", 0)


def test_a_failing_sink_is_no_failure_of_the_sensor():
    sink, other = Failing(), Recorder()
    sink.on_next = lambda x: 1 // 0
    thing = SensorAsOutputThing(Thermometer(1, 2), ManualClock())
    thing.connect(sink)
    thing.connect(other)
    assert [thing._observe(), thing._observe()] == [True, True]
    assert (len(sink.told), [e.val for e in other.events]) == (1, [1, 2])
    assert (thing.failures, thing.errors) == (0, 1)


def test_a_failing_operator_before_a_fan_out_ends_the_chain():
    thing, one, two = OutputThing(), Failing(), Failing()
    chain = thing.pipe(map(lambda x: 1 // (x - 2)))
    chain.connect(one, policy="skip")
    chain.connect(two, policy="skip")
    emit(thing, 1, 2, 3)
    assert one.events == two.events == [-1]
    assert (len(one.told), len(two.told), thing.errors) == (1, 1, 1)
