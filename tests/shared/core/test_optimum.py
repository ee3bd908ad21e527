# timeout: 150
"""The planner against the mathematics: the fewest wake-ups, for random sets of intervals and for all small ones.

The optimum for exact intervals is what any schedule needs that keeps them: with free phases, the best of them by trying
all; the union of the multiples is what common phases give. A schedule with slack is checked against the fewest points
that stab every window.
"""

import sys

from bourn import Scheduler, align, phase_of
from bourn.testing import ManualClock, Recorder
from run import Skip

SETS = 1000 if sys.implementation.name == "cpython" else 100
SEED = 20260101


def numbers(seed):
    """A source of numbers that is the same on every interpreter."""
    state = [seed]

    def below(n):
        state[0] = (state[0] * 16807) % 2147483647
        return state[0] % n

    return below


def plan(intervals, slacks, horizon, start=0):
    """When the planner wakes in [start, horizon), in ms, and how often each task ran."""
    clock = ManualClock()
    clock.advance(start)
    scheduler = Scheduler(clock)
    counts = [0] * len(intervals)

    def counting(i):
        def count():
            counts[i] += 1

        return count

    for i in range(len(intervals)):
        scheduler.schedule_recurring(counting(i), intervals[i] / 1000, slacks[i] / 1000)
    wakes = []
    while scheduler.next_wake() < horizon:
        clock.advance(scheduler.next_wake() - clock.now())
        scheduler.run_due(clock.now())
        wakes.append(clock.now())
    return wakes, counts


def union(intervals, phases, horizon):
    """Every moment at which one of the intervals is due."""
    moments = set()
    for i in range(len(intervals)):
        moments.update(range(phases[i], horizon, intervals[i]))
    return moments


def stabbing(intervals, slacks, horizon):
    """The fewest moments that meet every window [due, due + slack] that ends before the horizon."""
    windows = []
    for i in range(len(intervals)):
        windows += [(due + slacks[i], due) for due in range(0, horizon, intervals[i]) if due + slacks[i] < horizon]
    windows.sort()
    moments = []
    for end, due in windows:
        if not moments or moments[-1] < due:
            moments.append(end)
    return moments


def test_random_sets_wake_at_the_multiples_and_nowhere_else():
    below = numbers(SEED)
    for n in range(SETS):
        intervals = [1 + below(60) for _ in range(1 + below(5))]
        wakes, counts = plan(intervals, [0] * 5, 600)
        where = (SEED, n, intervals)
        assert wakes == sorted(union(intervals, [0] * 5, 600)), where
        assert counts == [(599 // interval) + 1 for interval in intervals], where


def test_random_sets_with_slack_need_no_more_than_stabbing_every_window():
    below = numbers(SEED + 1)
    for n in range(SETS):
        intervals = [1 + below(60) for _ in range(1 + below(5))]
        slacks = [below(interval) for interval in intervals]
        wakes, counts = plan(intervals, slacks, 600)
        where = (SEED + 1, n, intervals, slacks)
        fewest = stabbing(intervals, slacks, 600)
        assert wakes == fewest, where
        # once in each window: nothing is left out to save a wake-up, and nothing runs twice
        for i in range(len(intervals)):
            ended = len([due for due in range(0, 600, intervals[i]) if due + slacks[i] < 600])
            assert ended <= counts[i] <= ended + 1, where


def lcm(intervals):
    """The period after which everything repeats."""
    value = 1
    for interval in intervals:
        a, b = value, interval
        while b:
            a, b = b, a % b
        value = value * interval // a
    return value


def test_no_phases_whatever_do_better():
    # Rogers' theorem, tried out: every set of two or three intervals up to the limit, every way to place them.
    limit = 8 if sys.implementation.name == "cpython" else 5
    sets = [[a, b] for a in range(1, limit + 1) for b in range(a, limit + 1)]
    sets += [[a, b, c] for a, b in sets for c in range(b, limit + 1)]
    for intervals in sets:
        horizon = lcm(intervals)
        best = horizon
        phases = [0] * len(intervals)
        while phases[0] == 0:  # moving all together changes nothing, so the first one stays
            best = min(best, len(union(intervals, phases, horizon)))
            i = len(phases) - 1
            phases[i] += 1
            while i and phases[i] == intervals[i]:
                phases[i] = 0
                i -= 1
                phases[i] += 1
        wakes, _ = plan(intervals, [0] * 3, horizon)
        assert len(wakes) == best, intervals


class Thermometer:
    def __init__(self, name):
        self.sensor_id = name

    def sample(self):
        return 21


def test_a_month_of_three_sensors():
    # 30 days on CPython, which `run_forever` does in well under a second; a day on the others, which are emulated
    days = 30 if sys.implementation.name == "cpython" else 1
    clock = ManualClock()
    scheduler = Scheduler(clock)
    sinks = [[], [], []]
    for sink, interval in zip(sinks, (30, 45, 60)):
        scheduler.schedule_sensor(Thermometer("t%d" % interval), interval, counting(sink))
    scheduler.schedule_later_one_time(scheduler.stop, days * 86400 - 0.001)
    scheduler.run_forever()
    assert [sink[0] for sink in sinks] == [days * 2880, days * 1920, days * 1440]
    assert clock.sleeps == days * 3840  # the one at 0 needs no sleep, the one that stops does


def counting(cell):
    """A sink that counts into `cell`, so that a month of readings needs no memory."""
    cell.append(0)

    def on_next(event):
        cell[0] += 1

    return on_next


# A fleet, and the wall clock


def test_a_device_s_phase_is_its_own_and_stays():
    assert phase_of("greenhouse-7") == phase_of("greenhouse-7") != phase_of("greenhouse-8")
    phases = [phase_of("device-%d" % n) for n in range(200)]
    assert all(0 <= phase < 3600000 for phase in phases)
    assert len(set(phases)) == 200
    # spread over the hour: each quarter has its share
    assert [len([p for p in phases if p // 900000 == quarter]) > 30 for quarter in range(4)] == [True] * 4


def moments(scheduler, log, count):
    """Run until `count` entries are in the log."""
    while len(log) < count:
        scheduler.clock.advance(scheduler.next_wake() - scheduler.clock.now())
        scheduler.run_due(scheduler.clock.now())


def test_align_to_the_wall_clock_once():
    clock = ManualClock(wall=1700000012345)
    scheduler, log = Scheduler(clock), []
    scheduler.schedule_recurring(lambda: log.append(clock.wall()), 60)
    scheduler.schedule_recurring(lambda: None, 25, slack_s=5)
    scheduler.schedule_later_one_time(lambda: log.append("once"), 7)
    scheduler.run_due(0)
    clock.advance(5000)
    align(scheduler, "wall")
    moments(scheduler, log, 5)
    full = (1700000012345 // 60000 + 1) * 60000
    assert log == [1700000012345, "once", full, full + 60000, full + 120000]
    clock.step_wall(-1234)  # NTP: nothing moves, for nobody has asked
    before = clock.now()
    moments(scheduler, log, 6)
    assert clock.now() == before + 60000
    align(scheduler, "wall", phase_ms=500)
    moments(scheduler, log, 8)
    assert [at % 60000 for at in log[6:]] == [500, 500]
    try:
        align(scheduler, "sun")
    except ValueError as e:
        assert "'wall'" in str(e)
    else:
        raise AssertionError


def test_align_at_a_full_minute_runs_now():
    clock = ManualClock(wall=1700000040000)  # a full minute
    scheduler, log = Scheduler(clock, phase_ms=17), []
    scheduler.schedule_recurring(lambda: log.append(clock.wall()), 60)
    align(scheduler)
    scheduler.run_due(clock.now())
    assert log == [1700000040000]


def test_cancel_tells_how_many_periods_were_missed():
    clock = ManualClock()
    scheduler = Scheduler(clock)
    cancel = scheduler.schedule_sensor(Thermometer("t"), 10, Recorder())
    scheduler.run_due(0)
    clock.advance(35000)
    scheduler.run_due(35000)
    assert cancel.missed == 2
    cancel()
    assert scheduler.next_wake() is None


def test_a_schedule_sensor_takes_slack_and_at_once():
    clock = ManualClock()
    clock.advance(3)
    scheduler, sink = Scheduler(clock), Recorder()
    scheduler.schedule_sensor(Thermometer("t"), 10, sink, slack_s=2, at_once=True)
    scheduler.run_due(3)
    assert len(sink.events) == 1
    assert scheduler.next_wake() == 12000


def test_a_cancelled_task_is_gone_at_once():
    scheduler = Scheduler(ManualClock())
    for _ in range(50):  # what a debounce does: a timer for each event, most of them cancelled
        scheduler.schedule_later_one_time(int, 86400)()
    assert scheduler.next_wake() is None
    assert scheduler._tasks == []


def test_a_wake_up_allocates_nothing():
    import gc

    if not hasattr(gc, "mem_alloc"):
        raise Skip("CPython keeps no such count")
    scheduler = Scheduler(ManualClock())
    for interval in (2, 3, 3, 4, 5):
        scheduler.schedule_recurring(nothing, interval, slack_s=0.5)

    def wake(rounds):
        now = 0
        for _ in range(rounds):
            now = scheduler.next_wake()
            scheduler.run_due(now)

    wake(20)
    gc.collect()
    before = gc.mem_alloc()
    wake(200)
    assert gc.mem_alloc() - before <= 64  # of this test's own frames


def nothing():
    pass
