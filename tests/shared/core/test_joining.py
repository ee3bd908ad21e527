"""Operators over several things: every order of events and ends."""

import gc
import sys

from bourn import Operator, OutputThing, Scheduler, combine_latest, debounce, map, merge, with_latest_from, zip
from bourn.testing import ManualClock, Recorder
from run import Skip


def joined(make, n=2, **options):
    """n things, the sink behind make(the others), and the operator."""
    things = [OutputThing() for _ in range(n)]
    sink = Recorder()
    operator = make(*things[1:], **options)
    things[0].pipe(operator, sink)
    return things, sink, operator


def play(things, *script):
    """(i, x): thing i emits x; (i,): it completes; (i, exception): it fails."""
    for step in script:
        thing = things[step[0]]
        if len(step) == 1:
            thing._dispatch_completed()
        elif isinstance(step[1], Exception):
            thing._dispatch_error(step[1])
        else:
            thing._dispatch_next(step[1])


def connected(things):
    return [len(thing._branches) for thing in things]


def refused(function, *args, **options):
    try:
        function(*args, **options)
    except ValueError:
        return True
    return False


def test_merge():
    things, sink, _ = joined(merge, 3)
    play(things, (0, "a"), (1, "b"), (2, "c"), (1,), (0,), (2, "d"))
    assert (sink.events, sink.end) == (["a", "b", "c", "d"], None)
    play(things, (2,), (2, "late"))
    assert (sink.events, sink.end) == (["a", "b", "c", "d"], "completed")
    assert connected(things) == [0, 0, 0]


def test_merge_of_nothing_else_is_the_source():
    things, sink, _ = joined(merge, 1)
    play(things, (0, 1), (0,))
    assert (sink.events, sink.end) == ([1], "completed")


def test_the_first_error_is_that_of_all():
    for make in (merge, zip, combine_latest, with_latest_from):
        for failing in range(3):
            things, sink, _ = joined(make, 3)
            error = ValueError("broken")
            play(things, (failing, error), (0, 1), (1, 2), (2, 3), (1,), (0, KeyError("late")))
            assert (sink.events, sink.end) == ([], error), (make, failing)
            assert connected(things) == [0, 0, 0]


def test_disconnecting_leaves_all_things():
    for make in (merge, zip, combine_latest, with_latest_from):
        things = [OutputThing(), OutputThing()]
        sink = Recorder()
        end = things[0].pipe(make(things[1]), sink)
        assert connected(things) == [1, 1]
        end()
        play(things, (0, 1), (1, 2), (0,), (1,))
        assert (connected(things), sink.events, sink.end) == ([0, 0], [], None)


def test_zip():
    things, sink, operator = joined(zip)
    play(things, (0, 1), (0, 2), (1, "a"), (1, "b"), (1, "c"), (0, 3))
    assert sink.events == [(1, "a"), (2, "b"), (3, "c")]
    assert (sink.end, operator.counters) == (None, {"dropped": 0})


def test_zip_ends_when_no_tuple_can_come():
    things, sink, operator = joined(zip)
    play(things, (0, 1), (0, 2), (0,), (1, "a"))
    assert sink.end is None
    play(things, (1, "b"), (1, "c"))
    assert (sink.events, sink.end) == ([(1, "a"), (2, "b")], "completed")
    things, sink, operator = joined(zip)
    play(things, (0, 1), (0, 2), (1,))
    assert (sink.events, sink.end, operator.counters["dropped"]) == ([], "completed", 2)
    assert connected(things) == [0, 0]


def test_zip_is_bounded():
    for policy, rows in (
        ("drop_oldest", [(3, "a"), (4, "b"), (5, "c")]),
        ("drop_newest", [(1, "a"), (2, "b"), (3, "c")]),
    ):
        things, sink, operator = joined(zip, bound=3, policy=policy)
        play(things, (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, "a"), (1, "b"), (1, "c"))
        assert (sink.events, operator.counters["dropped"]) == (rows, 2)
    things, sink, operator = joined(zip)
    play(things, *[(0, i) for i in range(100)])
    assert operator.counters["dropped"] == 84
    assert refused(zip, bound=0) and refused(zip, policy="block")


def test_zip_ends_also_when_the_last_tuple_fails():
    things, sink = [OutputThing(), OutputThing()], Recorder()
    things[0].pipe(zip(things[1]), map(lambda row: 1 // row[0])).connect(sink, policy="skip")
    play(things, (0, 0), (0,), (1, "a"))
    assert (sink.events, sink.end, things[0].errors) == ([], None, 1)
    play(things, (1, "b"))
    assert (sink.events, sink.end) == ([], "completed")


def test_combine_latest():
    things, sink, _ = joined(combine_latest)
    play(things, (0, 1), (0, 2), (1, "a"), (0, 3), (1, "b"), (0,), (1, "c"))
    assert (sink.events, sink.end) == ([(2, "a"), (3, "a"), (3, "b"), (3, "c")], None)
    play(things, (1,))
    assert sink.end == "completed"


def test_combine_latest_ends_when_one_never_will_emit():
    for silent in (0, 1):
        things, sink, _ = joined(combine_latest)
        play(things, (1 - silent, 1), (silent,), (1 - silent, 2))
        assert (sink.events, sink.end, connected(things)) == ([], "completed", [0, 0])


def test_with_latest_from():
    things, sink, operator = joined(with_latest_from)
    play(things, (0, 1), (1, "a"), (1, "b"), (0, 2), (0, 3), (1,), (0, 4))
    assert (sink.events, sink.end) == ([(2, "b"), (3, "b"), (4, "b")], None)
    assert operator.counters == {"dropped": 1}
    play(things, (0,))
    assert (sink.end, connected(things)) == ("completed", [0, 0])


def test_what_follows_the_end_of_a_join_is_not_emitted():
    # the merge behind it keeps the chain alive
    for make in (zip, combine_latest):
        things, third, sink = [OutputThing(), OutputThing()], OutputThing(), Recorder()
        things[0].pipe(make(things[1]), merge(third), sink)
        play(things, (1,), (0, 1), (0,))
        third._dispatch_next("on")
        assert (sink.events, sink.end) == (["on"], None)
        third._dispatch_completed()
        assert sink.end == "completed"


def test_it_stays_ended_when_the_chain_is_bound_anew():
    things, third, sink, late = [OutputThing(), OutputThing()], OutputThing(), Recorder(), Recorder()
    chain = things[0].pipe(with_latest_from(things[1]), merge(third))
    chain.connect(sink)
    play(things, (1, "a"), (0, 1), (0,))
    chain.connect(late)
    play(things, (1, ValueError("too late")))
    third._dispatch_next("on")
    assert (sink.events, sink.end) == ([(1, "a"), "on"], None)
    assert (late.events, late.end) == (["on"], None)


def test_a_bound_of_one_pairs_the_latest():
    things, sink, _ = joined(zip, bound=1)
    play(things, (0, 1), (0, 2), (1, "a"))
    assert sink.events == [(2, "a")]


def test_an_exception_is_the_sink_s_own_also_after_the_source_has_ended():
    for policy, events, end in (("skip", [5, 2], "completed"), ("stop", [5], ZeroDivisionError)):
        things, sink = [OutputThing(), OutputThing()], Recorder()
        beside = Recorder()
        things[1].connect(beside)
        things[0].pipe(merge(things[1]), map(lambda x: 10 // x)).connect(sink, policy=policy)
        play(things, (0,), (1, 2), (1, 0), (1, 5), (1,))
        assert sink.events == events, sink.events
        assert sink.end == end or isinstance(sink.end, end)
        assert (beside.events, beside.end) == ([2, 0, 5], "completed")
        assert (things[0].errors, things[1].errors, connected(things)) == (1, 0, [0, 0])


def test_joins_emit_to_the_sinks_there_are_now():
    things, first, second = [OutputThing(), OutputThing()], Recorder(), Recorder()
    chain = things[0].pipe(merge(things[1]))
    chain.connect(first)
    play(things, (1, "a"))
    end = chain.connect(second)
    play(things, (1, "b"))
    end()
    play(things, (1, "c"), (0, "d"))
    assert (first.events, second.events) == (["a", "b", "c", "d"], ["b"])


def test_a_thing_joined_with_what_comes_of_itself():
    thing, sink = OutputThing(), Recorder()
    thing.pipe(zip(thing.pipe(map(lambda x: x * 2))), sink)
    for x in (1, 2):
        thing._dispatch_next(x)
    thing._dispatch_completed()
    assert (sink.events, sink.end) == ([(1, 2), (2, 4)], "completed")


def test_a_join_that_ends_in_the_dispatch_of_another_thing():
    # until() ends the chain while things[1] is still going through its sinks
    def until(last):
        def bind(state, emit, complete, fail):
            def on_next(x):
                emit(x)
                if x == last:
                    complete()

            return on_next, complete, fail

        return Operator(bind)

    things, sink = [OutputThing(), OutputThing()], Recorder()
    things[0].pipe(merge(things[1], things[1]), until("z"), sink)
    play(things, (1, "z"), (1, "y"))
    assert (sink.events, sink.end, connected(things)) == (["z"], "completed", [0, 0])


def test_a_timer_behind_a_join_outlives_the_source():
    clock = ManualClock()
    scheduler = Scheduler(clock)
    things, sink = [OutputThing(), OutputThing()], Recorder()
    things[0].scheduler = scheduler
    things[0].pipe(merge(things[1]), debounce(1), sink)
    play(things, (0, 1), (0,), (1, 2))
    clock.advance(1000)
    scheduler.run_due(clock.now())
    assert (sink.events, sink.end) == ([2], None)


def test_a_merge_allocates_nothing_per_event():
    if sys.implementation.name == "cpython":
        raise Skip("CPython keeps no such count")
    things, seen = [OutputThing(), OutputThing()], [0]

    def sink(x):
        seen[0] += x

    things[0].pipe(merge(things[1]), sink)
    used = []
    for _ in range(2):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        for _ in range(50):
            things[0]._dispatch_next(1)
            things[1]._dispatch_next(2)
        used.append(gc.mem_alloc() - before)
        gc.enable()
    assert used[1] < 50, used  # the loop's own range
    assert seen[0] == 300
