"""Lists of events by count and time, transducers, and what is supplied when nothing comes."""

from bourn import (
    OutputThing,
    PeriodicMedianTransducer,
    Scheduler,
    SensorEvent,
    SensorSlidingMean,
    Transducer,
    buffer_with_count,
    buffer_with_time,
    buffer_with_time_or_count,
    supply_event_when_timeout,
    transduce,
)
from bourn.testing import ManualClock, Recorder, marbles, raises


def lists(**named):
    return {c: [int(digit) for digit in digits] for c, digits in named.items()}


def test_buffer_with_count():
    marbles("-1-2-3-4-|", buffer_with_count(2), "---a---b-|", values=lists(a="12", b="34"))
    marbles("-1-2-3-|", buffer_with_count(2), "---a---(b|)", values=lists(a="12", b="3"))
    marbles("-1-2-3-#", buffer_with_count(2), "---a---(b#)", values=lists(a="12", b="3"))
    marbles("-1-|", buffer_with_count(1), "-a-|", values=lists(a="1"))
    marbles("--|", buffer_with_count(1), "--|")
    for count in (0, -1, 2.0, None):
        raises(ValueError, buffer_with_count, count)


def test_each_list_is_a_new_one():
    thing, sink = OutputThing(), Recorder()
    thing.pipe(buffer_with_count(1), sink)
    thing._dispatch_next(1)
    thing._dispatch_next(2)
    assert sink.events == [[1], [2]]


def test_buffer_with_time_stands_on_the_grid():
    # periods [0, 3), [3, 6), ...: a list comes when its period is over, none for a period in which nothing came
    marbles("12-3------4-|", buffer_with_time(s=3), "---a--b-----(c|)", values=lists(a="12", b="3", c="4"))
    marbles("12-3------4-#", buffer_with_time(s=3), "---a--b-----(c#)", values=lists(a="12", b="3", c="4"))
    marbles("--1-----", buffer_with_time(s=3), "---a----", values=lists(a="1"))
    marbles("-----|", buffer_with_time(s=3), "-----|")
    raises(ValueError, buffer_with_time, 0)
    raises(ValueError, buffer_with_time, 1, bound=0)


def test_an_event_at_the_very_end_belongs_to_the_next_period_whoever_comes_first():
    thing, sink, clock = OutputThing(), Recorder(), ManualClock()
    thing.scheduler = scheduler = Scheduler(clock)
    thing.pipe(buffer_with_time(s=1), sink)
    thing._dispatch_next(1)
    clock.advance(1000)
    thing._dispatch_next(2)  # before the planner has run what is due
    assert sink.events == [[1]]
    scheduler.run_due(1000)
    assert (sink.events, scheduler.next_wake()) == ([[1]], 2000)
    clock.advance(1000)
    scheduler.run_due(2000)
    assert (sink.events, scheduler.next_wake()) == ([[1], [2]], None)


def test_what_a_buffer_drops_is_counted():
    operator = buffer_with_time(s=9, bound=2)
    marbles("1234-----", operator, "---------a", values=lists(a="34"))
    assert operator.counters == {"dropped": 2}


def test_buffer_with_time_or_count():
    values = lists(a="12", b="3", c="45", d="6")
    # [0, 4), [4, 8), [8, 12): the count begins anew with every list
    marbles("123-45--6-|", buffer_with_time_or_count(4, 2), "-a--bc----(d|)", values=values)
    raises(ValueError, buffer_with_time_or_count, 0, 2)
    raises(ValueError, buffer_with_time_or_count, 4, 0)


def test_a_buffer_that_is_full_asks_for_no_wake_up():
    thing, sink = OutputThing(), Recorder()
    thing.scheduler = scheduler = Scheduler(ManualClock())
    disconnect = thing.pipe(buffer_with_time_or_count(4, 2), sink)
    thing._dispatch_next(1)
    assert scheduler.next_wake() == 4000
    thing._dispatch_next(2)
    assert (sink.events, scheduler.next_wake()) == ([[1, 2]], None)
    thing._dispatch_next(3)
    disconnect()
    assert scheduler.next_wake() is None


# Transducers


class Pairs(Transducer):
    def __init__(self):
        self.held = None

    def step(self, x):
        if self.held is None:
            self.held = x
            return None
        pair, self.held = [self.held, x], None
        return pair

    def complete(self):
        return None if self.held is None else [self.held]


def test_transduce():
    marbles("-1-2-3-|", transduce(Pairs()), "---a---(b|)", values=lists(a="12", b="3"))
    marbles("-1-2-3-#", transduce(Pairs), "---a---(b#)", values=lists(a="12", b="3"))
    marbles("-1-2-|", transduce(Pairs), "---a-|", values=lists(a="12"))
    marbles("-1-2-|", transduce(Transducer), "-1-2-|")


def test_a_transducer_remembers_and_a_function_makes_one_for_each_chain():
    for made, expected in ((Pairs(), [[1, 2]]), (Pairs, [])):
        thing, sink = OutputThing(), Recorder()
        chain = thing.pipe(transduce(made))
        disconnect = chain.connect(sink)
        thing._dispatch_next(1)
        disconnect()
        chain.connect(sink)
        thing._dispatch_next(2)
        assert sink.events == expected


def test_sliding_mean():
    marbles("-1-3-5-9-|", transduce(SensorSlidingMean(2)), "-1-2-4-7-|")
    marbles("-1-3-|", transduce(SensorSlidingMean(1)), "-1-3-|")
    thing, sink = OutputThing(), Recorder()
    thing.pipe(transduce(SensorSlidingMean(3)), sink)
    for i, val in enumerate((1e16, 1, 1, 1, 2.5)):
        thing._dispatch_next(SensorEvent("t", i, val))
    # what has left the window has left nothing behind: a sum from which it was taken away would be 0 here
    assert sink.events[3:] == [("t", 3, 1), ("t", 4, 1.5)]
    marbles("-1-2-|", transduce(lambda: SensorSlidingMean(2)), "-1-a-|", values={"a": 1.5})


def test_periodic_median():
    marbles("-1-5-2-4-9-|", transduce(PeriodicMedianTransducer(3)), "-----2-----(a|)", values={"a": 6.5})
    marbles("-1-5-2-|", transduce(PeriodicMedianTransducer(3)), "-----2-|")
    marbles("123459999-|", transduce(PeriodicMedianTransducer()), "----3-----(9|)")
    thing, sink = OutputThing(), Recorder()
    thing.pipe(transduce(PeriodicMedianTransducer(2)), sink)
    thing._dispatch_next(SensorEvent("t", 1, 10))
    thing._dispatch_next(SensorEvent("t", 2, 20))
    assert sink.events == [("t", 2, 15)]
    for transducer in (PeriodicMedianTransducer, SensorSlidingMean):
        raises(ValueError, transducer, 0)


# When nothing comes


class Watcher:
    def __init__(self):
        self.latest = 0
        self.closed = 0

    def on_next(self, x):
        self.latest = x

    def produce_event_for_timeout(self):
        return self.latest + 5

    def close(self):
        self.closed += 1


def test_supply_event_when_timeout():
    for source, end in (("-1----2|", "|"), ("-1----2#", "#")):
        watcher = Watcher()
        marbles(source, supply_event_when_timeout(watcher, s=2), "-1-6-62" + end)
        assert watcher.closed == 1
    marbles("-----|", supply_event_when_timeout(Watcher(), s=2), "--5-5|")


def test_a_watcher_needs_no_close():
    class Plain:
        def on_next(self, x):
            pass

        def produce_event_for_timeout(self):
            return 7

    marbles("1--|", supply_event_when_timeout(Plain(), s=1), "177(7|)")
