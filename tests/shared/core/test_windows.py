"""Windows, against lists of all events: by count and by time, every statistic, and at the edges of the grid."""

import gc
import sys

from bourn import OutputThing, Scheduler, SensorEvent, merge, sliding, tumbling
from bourn.operators.statistic import Recent, statistic
from bourn.testing import ManualClock, Recorder
from run import Skip

SEED = 20
NAN = float("nan")
INF = float("inf")


class Random:
    """The same numbers on every interpreter."""

    def __init__(self, seed):
        self.x = seed

    def below(self, n):
        self.x = (self.x * 1103515245 + 12345) & 0x3FFFFFFF
        return (self.x >> 12) % n


class Timed(Recorder):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def on_next(self, x):
        assert self.end is None
        self.events.append((self.clock.now(), x))


class Flow:
    def __init__(self, *operators, phase_ms=0):
        self.clock = ManualClock()
        self.scheduler = Scheduler(self.clock, phase_ms=phase_ms)
        self.thing = OutputThing()
        self.thing.scheduler = self.scheduler
        self.sink = Timed(self.clock)
        self.disconnect = self.thing.pipe(*(operators + (self.sink,)))

    def emit(self, ms, x, first=True):
        """Emit at that time, before what is due then or (first=False) after."""
        self.run(ms - 1 if first else ms)
        self.clock.advance(ms - self.clock.now())
        self.thing._dispatch_next(x)

    def run(self, until):
        while True:
            wake = self.scheduler.next_wake()
            if wake is None or wake > until:
                break
            self.clock.advance(max(0, wake - self.clock.now()))
            self.scheduler.run_due(self.clock.now())
        if until > self.clock.now():
            self.clock.advance(until - self.clock.now())

    def seen(self):
        return self.sink.events


def made(operator, *xs, end=True):
    thing, sink = OutputThing(), Recorder()
    thing.pipe(operator, sink)
    for x in xs:
        thing._dispatch_next(x)
    if end:
        thing._dispatch_completed()
        assert sink.end == "completed", sink.end
    return sink.events


def refused(function, *args, **options):
    try:
        function(*args, **options)
    except ValueError:
        return True
    return False


def oracle(name, values):
    ordered = sorted(values)
    if name == "min":
        return ordered[0]
    if name == "max":
        return ordered[-1]
    if name == "mean":
        return sum(values) / len(values)
    if name == "last":
        return values[-1]
    if callable(name):
        return name(values)
    q = 0.5 if name == "median" else float(name[1:]) / 100
    place = (len(values) - 1) * q
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(values) - 1)] - ordered[low]) * (place - low)


def total(values):
    return sum(values)


NAMES = ("min", "max", "mean", "median", "last", "p0", "p25", "p95", "p100", total)


# By count


def test_tumbling_by_count():
    assert made(tumbling("max", count=3), 1, 5, 2, 4, 3, 0, 7) == [5, 4, 7]
    assert made(tumbling("min", count=3), 1, 5, 2, 4, 3, 0, 7, end=False) == [1, 0]
    assert made(tumbling("mean", count=2), 1, 2, 3, 4) == [1.5, 3.5]
    assert made(tumbling("last", count=2), 1, 2, 3) == [2, 3]
    assert made(tumbling("median", count=3), 9, 1, 5, 4, 2) == [5, 3]
    assert made(tumbling(list, count=2), 9, 1, 5) == [[9, 1], [5]]
    assert made(tumbling("mean", count=2)) == []
    assert made(tumbling("p50", count=1), 3, 1) == [3, 1]


def test_sliding_by_count():
    assert made(sliding("max", count=2), 1, 5, 2, 4, 3) == [1, 5, 5, 4, 4]
    assert made(sliding("mean", count=2), 1, 3, 5) == [1, 2, 4]
    assert made(sliding(list, count=2, every=3), *range(7)) == [[1, 2], [4, 5], [5, 6]]
    assert made(sliding(list, count=3, every=2), *range(4)) == [[0, 1], [1, 2, 3]]
    assert made(sliding("min", count=1), 3, 4) == [3, 4]


def test_every_statistic_of_random_values_is_that_of_the_list():
    random = Random(SEED)
    for name in NAMES:
        for count in (1, 2, 7, 20):
            values = [random.below(40) - 20 for _ in range(100)]
            slid = made(sliding(name, count=count), *values)
            for i in range(len(values)):
                expected = oracle(name, values[max(0, i + 1 - count) : i + 1])
                assert abs(slid[i] - expected) < 1e-4, (SEED, name, count, i, slid[i], expected)
            tumbled = made(tumbling(name, count=count), *values)
            assert len(tumbled) == (100 + count - 1) // count
            for i in range(len(tumbled)):
                expected = oracle(name, values[i * count : (i + 1) * count])
                assert abs(tumbled[i] - expected) < 1e-4, (SEED, name, count, i)


def test_a_quantile_of_integers_stays_one_where_it_is_a_value():
    for name, expected in (("median", 2), ("p0", 1), ("p100", 3), ("min", 1), ("max", 3), ("last", 3)):
        (result,) = made(tumbling(name, count=3), 1, 2, 3)
        assert result == expected and isinstance(result, int), name


def test_an_extreme_value_leaves_with_its_window():
    events = (1.0, 1e30, 2.0, 3.0, INF, 4.0, 5.0, -INF, 6.0, 7.0)
    results = made(sliding("mean", count=2), *events)
    assert results[3] == 2.5 and results[6] == 4.5 and results[9] == 6.5, results
    assert results[4] == results[5] == INF and results[7] == results[8] == -INF


def test_what_is_no_value_is_left_out_and_counted():
    for operator in (tumbling("mean", count=2), sliding("mean", count=2, every=2)):
        assert made(operator, None, 1, NAN, 3, None) == [2]
        assert operator.counters == {"dropped": 0, "skipped": 3}


def test_readings_give_readings():
    a, b, c = SensorEvent("t", 10, 1), SensorEvent("t", 20, 3), SensorEvent("t", 30, 4)
    assert made(tumbling("mean", count=2), a, b, c) == [("t", 20, 2), ("t", 30, 4)]
    (first, _) = made(tumbling("mean", count=2), a, b, c)
    assert isinstance(first, SensorEvent)
    assert made(sliding("max", count=9, key=lambda e: -e.ts), a, b) == [("t", 10, -10), ("t", 20, -10)]


def test_what_is_no_window_is_refused():
    for make in (tumbling, sliding):
        for options in ({}, {"count": 1, "s": 1}, {"count": 0}, {"count": 1.5}, {"s": 0}, {"s": 1, "bound": 0}):
            assert refused(make, "mean", **options), options
        for name in ("average", "p", "p101", "p-1", "pi", "pnan", None, 5):
            assert refused(make, name, count=1), name
    assert refused(sliding, "mean", count=1, every=0) and refused(sliding, "mean", s=1, every=0)


# By time


def test_tumbling_by_time_is_half_open_on_the_grid():
    # at 1000 the event comes before the timer, or after it: the same
    for first in (True, False):
        flow = Flow(tumbling(list, s=1))
        flow.emit(300, 1)
        flow.emit(999, 2)
        flow.emit(1000, 3, first)
        flow.emit(3500, 4)
        flow.run(10000)
        assert flow.seen() == [(1000, [1, 2]), (2000, [3]), (4000, [4])]
        assert flow.scheduler.next_wake() is None


def test_a_window_shares_the_planner_s_phase():
    flow = Flow(tumbling("last", s=1), phase_ms=250)
    flow.emit(100, 1)
    flow.emit(300, 2)
    flow.run(5000)
    assert flow.seen() == [(250, 1), (1250, 2)]


def test_a_window_costs_no_wake_up_beside_the_tasks_of_its_interval():
    flow = Flow(tumbling("mean", s=60))
    flow.scheduler.schedule_recurring(lambda: flow.thing._dispatch_next(1), 10)
    wakes = 0
    while flow.scheduler.next_wake() <= 600000:
        flow.clock.advance(flow.scheduler.next_wake() - flow.clock.now())
        flow.scheduler.run_due(flow.clock.now())
        wakes += 1
    assert [ms for ms, _ in flow.seen()] == [60000 * i for i in range(1, 11)]
    assert wakes == 61


def test_tumbling_by_time_keeps_at_most_its_bound():
    for name, expected, dropped in ((list, [3, 4], 2), ("median", 3.5, 2), ("mean", 2.5, 0), ("min", 1, 0)):
        operator = tumbling(name, s=1, bound=2)
        flow = Flow(operator)
        for x in (1, 2, 3, 4):
            flow.emit(10 * x, x)
        flow.run(1000)
        assert flow.seen() == [(1000, expected)], name
        assert operator.counters["dropped"] == dropped


def test_a_late_timer_gives_way_to_an_event():
    flow = Flow(tumbling(list, s=1))
    flow.emit(100, 1)
    flow.clock.advance(4000)  # nothing ran meanwhile
    flow.thing._dispatch_next(2)
    flow.run(10000)
    assert flow.seen() == [(4100, [1]), (5000, [2])]


def test_windows_are_closed_by_either_end():
    for operator in (
        tumbling(list, s=1),
        tumbling(list, count=9),
        sliding(list, s=5, every=1),
        sliding(list, 9, every=9),
    ):
        for error in (None, ValueError("broken")):
            flow = Flow(operator)
            flow.emit(100, 1)
            flow.emit(200, 2)
            flow.thing._dispatch_completed(error)
            assert flow.seen() == [(200, [1, 2])], (operator.name, flow.seen())
            assert flow.sink.end == (error or "completed")
            assert flow.scheduler.next_wake() is None


def test_disconnecting_closes_no_window():
    for operator in (tumbling(list, s=1), sliding(list, s=5, every=1)):
        flow = Flow(operator)
        flow.emit(100, 1)
        flow.disconnect()
        assert flow.scheduler.next_wake() is None
        flow.run(5000)
        assert (flow.seen(), flow.sink.end) == ([], None)


def test_an_ended_window_says_nothing_more():
    third = OutputThing()
    flow = Flow(tumbling(list, s=1), merge(third))
    flow.emit(100, 1)
    flow.thing._dispatch_completed()
    flow.run(5000)
    assert (flow.seen(), flow.sink.end, flow.scheduler.next_wake()) == ([(100, [1])], None, None)


def test_sliding_by_time():
    flow = Flow(sliding(list, s=1))
    for ms in (0, 400, 1000, 1399, 1400, 5000):
        flow.emit(ms, ms)
    expected = [[0], [0, 400], [400, 1000], [400, 1000, 1399], [1000, 1399, 1400], [5000]]
    assert [x for _, x in flow.seen()] == expected
    assert flow.scheduler.next_wake() is None


def test_sliding_by_time_keeps_at_most_its_bound():
    operator = sliding(list, s=1, bound=2)
    flow = Flow(operator)
    for ms in (0, 100, 200, 2000):
        flow.emit(ms, ms)
    assert [x for _, x in flow.seen()] == [[0], [0, 100], [100, 200], [2000]]
    assert operator.counters["dropped"] == 1


def test_sliding_by_time_on_the_grid():
    for first in (True, False):
        flow = Flow(sliding(list, s=1, every=0.5))
        for ms in (100, 500, 700, 1500):
            flow.emit(ms, ms, first)
        flow.run(9000)
        # [-500, 500), [0, 1000), [500, 1500), [1000, 2000), [1500, 2500)
        assert flow.seen() == [
            (500, [100]),
            (1000, [100, 500, 700]),
            (1500, [500, 700]),
            (2000, [1500]),
            (2500, [1500]),
        ]
        assert flow.scheduler.next_wake() is None


def test_sliding_on_the_grid_makes_no_burst_after_a_stall():
    flow = Flow(sliding(list, s=10, every=1))
    flow.emit(500, 1)
    flow.clock.advance(3200)
    flow.run(5200)
    flow.emit(6300, 2)
    flow.run(7000)
    assert flow.seen() == [(3700, [1]), (4000, [1]), (5000, [1]), (6000, [1]), (7000, [1, 2])]


def test_random_times_against_the_list_of_all_events():
    for name in ("max", "mean", "median"):
        random = Random(SEED)
        operators = (tumbling(name, s=0.1), sliding(name, s=0.25), sliding(name, s=0.25, every=0.1))
        flows = [Flow(operator) for operator in operators]
        events, ms = [], 0
        for _ in range(60):
            ms += random.below(60)
            events.append((ms, random.below(100)))
            for flow in flows:
                flow.emit(ms, events[-1][1], random.below(2) == 0)
        for flow in flows:
            flow.run(ms + 1000)
        tumbled, slid, hopped = [], [], []
        for i in range(len(events)):
            at = events[i][0]
            slid.append((at, oracle(name, [v for t, v in events[: i + 1] if at - 250 < t])))
        for end in range(100, ms + 1000, 100):
            for length, into in ((100, tumbled), (250, hopped)):
                values = [v for t, v in events if end - length <= t < end]
                if values:
                    into.append((end, oracle(name, values)))
        for flow, expected in zip_lists(flows, (tumbled, slid, hopped)):
            got = flow.seen()
            assert [t for t, _ in got] == [t for t, _ in expected], (SEED, name)
            for i in range(len(got)):
                assert abs(got[i][1] - expected[i][1]) < 1e-4, (SEED, name, got[i], expected[i])


def zip_lists(a, b):
    return [(a[i], b[i]) for i in range(len(a))]


# The parts


def test_a_ring_grows_up_to_its_bound_in_any_position():
    ring = Recent(20)
    for x in range(5):
        ring.push(x)
    for x in range(4):
        assert ring.pop() == x
    for x in range(5, 24):
        ring.push(x)
    assert ring.values() == list(range(4, 24)) and len(ring._items) == 20
    for x in range(4, 24):
        assert ring.pop() == x
    assert ring.n == 0 and ring._items == [None] * 20


def test_a_sliding_minimum_looks_at_each_value_twice():
    counted = [0]
    folded = statistic("min", 1000, True)
    fold = folded._fold

    def counting(a, b):
        counted[0] += 1
        return fold(a, b)

    folded._fold = counting
    for x in range(3000):
        if folded.n == 1000:
            folded.drop()
        folded.add(x)
    assert counted[0] < 2 * 3000 and folded.result() == 2000


def test_a_sliding_maximum_of_small_integers_allocates_nothing():
    if sys.implementation.name == "cpython":
        raise Skip("CPython keeps no such count")
    thing, seen = OutputThing(), [0]

    def sink(x):
        seen[0] += x

    thing.pipe(sliding("max", count=10), tumbling("min", count=3), sink)
    used = []
    for _ in range(3):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        for i in range(60):
            thing._dispatch_next(i)
        used.append(gc.mem_alloc() - before)
        gc.enable()
    assert used[2] < 60, used
    assert seen[0] > 0
