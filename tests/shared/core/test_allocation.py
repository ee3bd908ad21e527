# lanes: mpy-x64 mpy-arm64 mpy-armhf
"""What an event costs of a board's heap on its way: nothing, once the chain is bound."""

import gc
import sys

from bourn import OutputThing, Scheduler, delta, distinct_until_changed, map, scan, skip, tap, where
from bourn.testing import ManualClock

LARGE = 1 << 70  # an object of its own on every build; on 32 bits that begins at 2**30
SMALLEST_LARGE = 1 << (30 if sys.maxsize < 1 << 40 else 62)
LARGE_BYTES = 32 if sys.maxsize < 1 << 40 else 64  # of a number that is an object, and what it points to


def cost(function):
    """The bytes that calling `function()` leaves on the heap, once warm."""
    function()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    function()
    after = gc.mem_alloc()
    gc.enable()
    return after - before


def kept(function):
    """The bytes that are still there after `function()` when the rest has been collected."""
    gc.collect()
    before = gc.mem_alloc()
    function()
    gc.collect()
    return gc.mem_alloc() - before


def nothing():
    """A task that makes nothing."""


def emitting(thing, events):
    """A function that emits them all, itself at no cost."""

    def run():
        for x in events:
            thing._emit(x)

    return run


SMALL = tuple(range(1, 101))
PAST = tuple([(LARGE if i % 2 else 1 << 30) + i for i in range(100)])  # made beforehand
ALWAYS = (lambda x: x is not None, lambda x: x)
count = [0]


def sink(x):
    count[0] += 1


def stages(number, second):
    """So many operators in turn: pass-through ones, and `second`."""
    made = []
    for i in range(number):
        made.append((where(ALWAYS[0]), second, map(ALWAYS[1]))[i % 3])
    return made


def arrived(function):
    """How many events the sink has taken meanwhile."""
    before = count[0]
    function()
    return count[0] - before


def test_the_measure_sees_an_allocation():
    kept = []
    assert cost(lambda: kept.append(bytearray(100))) >= 100
    assert cost(lambda: LARGE + len(kept)) > 0
    assert cost(lambda: None) == 0


def test_pass_through_costs_nothing():
    for number in (1, 3, 10):
        for events in (SMALL, PAST):
            thing = OutputThing()
            thing.pipe(*(stages(number, map(ALWAYS[1])) + [sink]))
            run = emitting(thing, events)
            assert cost(run) == 0, (number, events[0])
            assert arrived(run) == 100


def test_small_integers_cost_nothing():
    for number in (1, 3, 10):
        thing = OutputThing()
        thing.pipe(*(stages(number, map(lambda x: x + 1)) + [map(lambda x: x & 0xFF), sink]))
        run = emitting(thing, SMALL)
        assert cost(run) == 0, number
        assert arrived(run) == 100


def test_operators_that_remember_cost_nothing():
    for name, make, few in (
        ("delta", lambda: delta(1), False),
        ("distinct_until_changed", distinct_until_changed, False),
        ("scan", lambda: scan(lambda last, x: last if last > x else x, 0), False),
        ("skip", lambda: skip(3), False),
        ("tap", lambda: tap(ALWAYS[1]), False),
        ("delta, withheld", lambda: delta(1000), True),
    ):
        for number in (1, 3, 10):
            thing = OutputThing()
            thing.pipe(*([make()] + stages(number - 1, make()) + [sink]))
            run = emitting(thing, SMALL)
            run()
            assert cost(run) == 0, (name, number)
            assert arrived(run) == (0 if few else 100), name


def test_a_fan_out_costs_nothing():
    for number in (2, 3, 8):
        for events in (SMALL, PAST):
            thing = OutputThing()
            chain = thing.pipe(where(ALWAYS[0]))
            for i in range(number):
                chain.pipe(*(stages(i + 1, map(ALWAYS[1])) + [sink]))
            thing.connect(sink)
            run = emitting(thing, events)
            assert cost(run) == 0, number
            assert arrived(run) == 100 * (number + 1)


def test_it_does_not_depend_on_how_long_the_device_has_run():
    clock = ManualClock()
    for ms in (0, 1 << 29, 1 << 31, 1 << 42):
        clock.advance(ms)
        thing = OutputThing()
        thing.scheduler = Scheduler(clock)
        thing.pipe(*(stages(10, delta(1)) + [sink]))
        run = emitting(thing, SMALL)
        assert cost(run) == 0, clock.now()
        assert arrived(run) == 100


def test_a_wake_up_costs_nothing_until_numbers_grow_large():
    for tasks in (1, 10):
        for start in (0, 1 << 28, 1 << 31, 1 << 42, 1 << 62):
            clock = ManualClock()
            clock.advance(start)
            scheduler = Scheduler(clock)
            for _ in range(tasks):
                scheduler.schedule_recurring(nothing, 10)

            def wake_ups():
                for _ in range(100):
                    assert scheduler.run_due(scheduler.next_wake()) == tasks

            made = cost(wake_ups)
            if start < SMALLEST_LARGE // 2:
                assert made == 0, (tasks, start)
            else:  # each time is an object then; at most six on the way to a task's next one, and none is kept
                assert made <= 100 * (LARGE_BYTES + tasks * 6 * LARGE_BYTES), (tasks, start, made)
                assert kept(wake_ups) <= 0, (tasks, start)


def test_after_a_change_it_costs_nothing_again():
    thing = OutputThing()
    chain = thing.pipe(*stages(3, delta(1)))
    chain.connect(sink)
    run = emitting(thing, SMALL)
    assert cost(run) == 0
    disconnect = chain.connect(sink)
    assert cost(run) == 0 and arrived(run) == 200
    disconnect()
    assert cost(run) == 0 and arrived(run) == 100
