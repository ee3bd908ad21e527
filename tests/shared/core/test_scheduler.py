# timeout: 100
"""The planner: the fewest wake-ups, no drift, no burst, whatever happens in between. No test sleeps."""

import sys

from bourn import Clock, Never, Scheduler, _compat
from bourn.clock import LONGEST_SLEEP_MS
from bourn.testing import ManualClock, Recorder

DAY_MS = 86400000

# Intervals (s) and how often a device wakes in a day: exact, with 10 % and with 50 % slack (docs/decisions).
WAKES = (
    ((30, 45, 60), 3840, 3840, 2880),
    ((10, 15, 25), 12672, 12672, 8640),
    ((7, 11, 13), 24254, 21578, 12342),
    ((20, 30, 50, 70), 6665, 6665, 4320),
    ((59, 60, 61), 4249, 3498, 1597),
)


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as e:
        return e
    raise AssertionError("no %s" % kind.__name__)


def until(scheduler, end):
    """Let the scheduler run as a device does, to `end` (ms) on its clock; how often it woke."""
    clock = scheduler.clock
    wakes = 0
    while True:
        wake = scheduler.next_wake()
        if wake is None or wake > end:
            clock.advance(max(0, end - clock.now()))
            return wakes
        clock.advance(wake - clock.now())
        scheduler.run_due(clock.now())
        wakes += 1


def recording(scheduler, name, log):
    """A function for a schedule that notes when it ran."""
    return lambda: log.append((name, scheduler.clock.now()))


# Wake-ups


def wakes_of_a_day(intervals, slack):
    """Wake-ups from midnight to midnight; every task runs once in each of its periods."""
    scheduler = Scheduler(ManualClock())
    counts = [0] * len(intervals)

    def counting(i):
        def count():
            counts[i] += 1

        return count

    for i, interval in enumerate(intervals):
        scheduler.schedule_recurring(counting(i), interval, slack_s=interval * slack)
    wakes = until(scheduler, DAY_MS - 1)
    for i, interval in enumerate(intervals):
        due = (DAY_MS - 1) // (interval * 1000) + 1
        # with slack the last window may still be open at midnight
        assert counts[i] == due or (slack and counts[i] == due - 1), (intervals, counts)
    assert [task.missed for task in scheduler._tasks] == [0] * len(intervals)
    return wakes


def test_exact_intervals_need_the_fewest_wake_ups():
    for intervals, exact, _, _ in WAKES:
        assert wakes_of_a_day(intervals, 0) == exact, intervals


def test_slack_needs_fewer():
    for intervals, exact, tenth, half in WAKES:
        if exact > 10000 and sys.implementation.name != "cpython":
            continue  # the same once more, for seconds
        # one more where a window is cut by midnight
        assert wakes_of_a_day(intervals, 0.1) - tenth in (0, 1), intervals
        assert wakes_of_a_day(intervals, 0.5) - half in (0, 1), intervals


def test_slack_is_late_only_and_never_moves_the_grid():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    scheduler.schedule_recurring(recording(scheduler, "slack", log), 1, slack_s=0.4)
    scheduler.schedule_recurring(recording(scheduler, "exact", log), 0.75)
    scheduler.run_due(0)
    until(scheduler, 6000)
    slack = [at for name, at in log if name == "slack"]
    exact = [at for name, at in log if name == "exact"]
    assert exact == [0, 750, 1500, 2250, 3000, 3750, 4500, 5250, 6000]
    # due at 1000, 2000, ...: together with another one where that is within the 400 ms, else at their end
    assert slack == [0, 1400, 2250, 3000, 4400, 5250, 6000]


def test_times_are_rounded_to_the_nearest_millisecond():
    scheduler = Scheduler(ManualClock())
    for seconds, ms in ((0.57, 570), (0.0006, 1), (1.1, 1100), (3600, 3600000)):
        assert scheduler.schedule_recurring(int, seconds).interval == ms
        assert scheduler.schedule_later_one_time(int, seconds).due == ms
    for slack_s, ms in ((0.57, 570), (0.0004, 0), (0.0006, 1), (0.999, 999)):
        assert scheduler.schedule_recurring(int, 1, slack_s=slack_s).slack == ms


def test_slack_is_shorter_than_the_interval():
    scheduler = Scheduler(ManualClock())
    for slack_s in (-0.001, 1, 2):
        raises(ValueError, scheduler.schedule_recurring, int, 1, slack_s)
    assert scheduler.next_wake() is None


# The grid


def test_first_due_is_the_next_multiple_since_the_common_epoch():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    clock.advance(12345)
    for interval in (1, 5, 60):
        scheduler.schedule_recurring(recording(scheduler, interval, log), interval)
    until(scheduler, 60000)
    assert [at for name, at in log if name == 1] == list(range(13000, 60001, 1000))
    assert [at for name, at in log if name == 5] == list(range(15000, 60001, 5000))
    assert [at for name, at in log if name == 60] == [60000]


def test_what_is_due_now_runs_now():
    scheduler, log = Scheduler(ManualClock()), []
    scheduler.schedule_recurring(recording(scheduler, "a", log), 5)
    assert scheduler.next_wake() == 0
    assert scheduler.run_due(0) == 1
    assert (log, scheduler.next_wake()) == ([("a", 0)], 5000)


def test_the_grid_is_the_same_after_removing_and_adding():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    cancel = scheduler.schedule_recurring(recording(scheduler, "a", log), 5)
    until(scheduler, 5000)
    cancel()
    clock.advance(2345)
    assert scheduler.next_wake() is None
    scheduler.schedule_recurring(recording(scheduler, "a", log), 5)
    until(scheduler, 15000)
    assert log == [("a", 0), ("a", 5000), ("a", 10000), ("a", 15000)]


def test_a_phase_moves_the_whole_grid():
    for phase in (0, 1, 1234, 59999, 3599999):
        clock = ManualClock()
        scheduler, log = Scheduler(clock, phase_ms=phase), []
        clock.advance(7)
        for interval in (1, 60):
            scheduler.schedule_recurring(recording(scheduler, interval, log), interval)
        until(scheduler, 200000)
        for interval in (1, 60):
            times = [at for name, at in log if name == interval]
            assert 7 <= times[0] < 7 + interval * 1000 and times[-1] > 200000 - interval * 1000
            assert [at for at in times if (at - phase) % (interval * 1000)] == [], (phase, interval)
            assert len(times) == len(range(times[0], 200001, interval * 1000))


def test_at_once_is_once_more_and_the_grid_after_it():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    clock.advance(3)
    scheduler.schedule_recurring(recording(scheduler, "a", log), 5, at_once=True)
    until(scheduler, 10000)
    assert [at for _, at in log] == [3, 5000, 10000]
    assert scheduler._tasks[0].missed == 0


def test_intervals_from_a_millisecond_to_years():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    clock.advance(1)
    year = 365 * DAY_MS
    scheduler.schedule_recurring(recording(scheduler, "year", log), 365 * 86400)
    scheduler.schedule_recurring(recording(scheduler, "leap", log), 4 * 365 * 86400)
    until(scheduler, 12 * year)
    assert [at for name, at in log if name == "year"] == [year * n for n in range(1, 13)]
    assert [at for name, at in log if name == "leap"] == [4 * year, 8 * year, 12 * year]

    scheduler, log = Scheduler(ManualClock()), []
    scheduler.schedule_recurring(recording(scheduler, "ms", log), 0.001)
    scheduler.schedule_recurring(recording(scheduler, "odd", log), 0.0333)
    scheduler.run_due(0)
    assert until(scheduler, 500) == 500
    assert [at for name, at in log if name == "ms"] == list(range(501))
    assert [at for name, at in log if name == "odd"] == list(range(0, 501, 33))


def test_an_interval_of_nothing_is_refused():
    scheduler = Scheduler(ManualClock())
    for interval in (0, -1, 0.0004):
        raises(ValueError, scheduler.schedule_recurring, int, interval)
        raises(ValueError, scheduler.schedule_later_one_time, int, interval)
        raises(ValueError, scheduler.schedule_periodic, Never(), interval)
    assert scheduler.next_wake() is None


# Late, and never in a burst


def test_a_task_that_takes_time_does_not_drift():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []

    def sampling():
        log.append(clock.now())
        clock.advance(4)

    scheduler.schedule_recurring(sampling, 1)
    scheduler.run_due(0)
    assert until(scheduler, 3600000) == 3600
    assert log == list(range(0, 3600001, 1000))


def test_a_stall_skips_what_has_passed_and_keeps_the_phase():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    scheduler.schedule_recurring(recording(scheduler, "a", log), 1)
    scheduler.schedule_recurring(recording(scheduler, "b", log), 7)
    until(scheduler, 10000)
    del log[:]
    clock.advance(300500)  # something held the thread
    assert scheduler.run_due(clock.now()) == 2
    assert log == [("a", 310500), ("b", 310500)]  # since 11 s and 14 s
    assert scheduler.run_due(clock.now()) == 0
    until(scheduler, 316000)
    assert [at for name, at in log if name == "a"] == [310500] + list(range(311000, 316001, 1000))
    assert [at for name, at in log if name == "b"] == [310500, 315000]
    # due at 11 s, 12 s ... 310 s: one of them ran late; and at 14 s, 21 s ... 308 s
    assert [task.missed for task in scheduler._tasks] == [299, 42]


def test_missed_periods_are_counted_from_a_first_run_off_the_grid_too():
    clock = ManualClock()
    scheduler = Scheduler(clock)
    clock.advance(3000)
    scheduler.schedule_recurring(int, 10, at_once=True)
    clock.advance(22000)
    assert scheduler.run_due(clock.now()) == 1  # at 25 s, for 3 s; 10 s and 20 s have passed
    assert scheduler._tasks[0].missed == 2
    assert scheduler.next_wake() == 30000


def test_late_within_the_slack_is_not_missed():
    clock = ManualClock()
    scheduler = Scheduler(clock)
    scheduler.schedule_recurring(int, 10, slack_s=9.999)
    scheduler.run_due(0)
    clock.advance(19999)
    assert scheduler.run_due(clock.now()) == 1
    assert (scheduler._tasks[0].missed, scheduler.next_wake()) == (0, 29999)


# Order


def test_equal_due_times_run_in_the_order_of_adding():
    scheduler, log = Scheduler(ManualClock()), []
    names = ["n%d" % (i * 7 % 40) for i in range(40)]
    for i, name in enumerate(names):
        scheduler.schedule_recurring(recording(scheduler, name, log), (1, 2, 4)[i % 3])
    for at in range(0, 20001, 4000):
        del log[:]
        scheduler.clock.advance(at - scheduler.clock.now())
        scheduler.run_due(at)
        scheduler.run_due(at)
        if at == 0:
            assert [name for name, _ in log] == names
    # those who have waited longer first; among the others the order is as before
    assert [name for name, _ in log] == names[0::3] + names[1::3] + names[2::3]


def test_the_earliest_due_runs_first():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    clock.advance(1)
    for delay in (3, 1, 2, 1):
        scheduler.schedule_later_one_time(recording(scheduler, delay, log), delay)
    clock.advance(5000)
    assert scheduler.run_due(clock.now()) == 4
    assert [name for name, _ in log] == [1, 1, 2, 3]


# Cancelling and adding


def test_cancel():
    scheduler, log = Scheduler(ManualClock()), []
    cancel = scheduler.schedule_recurring(recording(scheduler, "a", log), 1)
    scheduler.schedule_recurring(recording(scheduler, "b", log), 1)
    scheduler.run_due(0)
    cancel()
    cancel()
    until(scheduler, 1000)
    assert log == [("a", 0), ("b", 0), ("b", 1000)]
    assert len(scheduler._tasks) == 1


def test_cancel_inside_of_itself():
    scheduler, log = Scheduler(ManualClock()), []
    cancels = []

    def once():
        log.append(scheduler.clock.now())
        cancels[0]()

    cancels.append(scheduler.schedule_recurring(once, 1))
    until(scheduler, 5000)
    assert (log, scheduler.next_wake(), scheduler._tasks) == ([0], None, [])


def test_cancel_of_one_that_is_due_in_the_same_round():
    scheduler, log = Scheduler(ManualClock()), []
    cancels = []

    def cancelling():
        log.append("cancelling")
        for cancel in cancels:
            cancel()

    cancels.append(scheduler.schedule_recurring(recording(scheduler, "before", log), 1))
    scheduler.schedule_recurring(cancelling, 1)
    cancels.append(scheduler.schedule_recurring(recording(scheduler, "after", log), 1))
    assert scheduler.run_due(0) == 2
    assert log == [("before", 0), "cancelling"]
    until(scheduler, 1000)
    assert log == [("before", 0), "cancelling", "cancelling"]


def test_adding_inside_of_a_task():
    scheduler, log = Scheduler(ManualClock()), []

    def adding():
        log.append(("adding", scheduler.clock.now()))
        if len(log) == 1:
            scheduler.schedule_recurring(recording(scheduler, "new", log), 0.5)
            scheduler.schedule_later_one_time(recording(scheduler, "later", log), 0.25)

    scheduler.schedule_recurring(adding, 3600)
    scheduler.run_due(0)
    until(scheduler, 1000)
    # it is due at 0 as well, and has not been there when that round began
    assert log == [("adding", 0), ("new", 0), ("later", 250), ("new", 500), ("new", 1000)]


def test_what_is_added_beside_a_long_wait_does_not_wait_with_it():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    scheduler.schedule_recurring(recording(scheduler, "hour", log), 3600)
    scheduler.run_due(0)
    clock.advance(1500)
    scheduler.schedule_recurring(recording(scheduler, "second", log), 1)
    assert scheduler.next_wake() == 2000


def test_one_time_tasks():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    clock.advance(10)
    scheduler.schedule_later_one_time(recording(scheduler, "a", log), 1.5)
    cancel = scheduler.schedule_later_one_time(recording(scheduler, "b", log), 1.5)
    scheduler.schedule_later_one_time(recording(scheduler, "c", log), 0.001)
    cancel()
    assert until(scheduler, 100000) == 2
    assert (log, scheduler._tasks) == ([("c", 11), ("a", 1510)], [])


# Errors


def test_an_error_comes_out_and_the_next_period_is_scheduled():
    scheduler, log = Scheduler(ManualClock()), []

    def failing():
        log.append("failing")
        raise OSError(5, "bus")

    scheduler.schedule_recurring(failing, 1)
    scheduler.schedule_recurring(recording(scheduler, "other", log), 1)
    raises(OSError, scheduler.run_due, 0)
    assert log == ["failing"]
    assert scheduler.run_due(0) == 1  # what was due with it
    assert log == ["failing", ("other", 0)]
    assert scheduler.next_wake() == 1000
    scheduler.schedule_later_one_time(failing, 0.5)
    raises(OSError, until, scheduler, 999)
    assert scheduler.next_wake() == 1000  # once is once


def test_an_error_comes_out_of_the_driver_and_it_can_go_on():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []

    def failing():
        log.append(clock.now())
        if len(log) == 2:
            raise OSError(5, "bus")
        if len(log) == 4:
            scheduler.stop()

    scheduler.schedule_recurring(failing, 1)
    raises(OSError, scheduler.run_forever)
    scheduler.run_forever()
    assert log == [0, 1000, 2000, 3000]


# The driver


def test_run_forever_ends_when_nothing_is_scheduled():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []
    scheduler.run_forever()
    scheduler.schedule_later_one_time(recording(scheduler, "a", log), 3600)
    scheduler.schedule_later_one_time(recording(scheduler, "b", log), 86400)
    scheduler.run_forever()
    assert log == [("a", 3600000), ("b", 86400000)]
    assert clock.sleeps == 2


def test_stop_ends_the_driver_after_the_task_that_is_running():
    clock = ManualClock()
    scheduler, log = Scheduler(clock), []

    def stopping():
        log.append(("stopping", clock.now()))
        scheduler.stop()

    scheduler.schedule_recurring(stopping, 2)
    scheduler.schedule_recurring(recording(scheduler, "other", log), 2)
    scheduler.run_forever()
    assert log == [("stopping", 0)]
    scheduler.run_forever()
    assert log == [("stopping", 0), ("other", 0), ("stopping", 2000)]


def test_a_stop_before_the_driver_has_begun_is_not_lost():
    scheduler, log = Scheduler(ManualClock()), []
    scheduler.schedule_recurring(recording(scheduler, "a", log), 1)
    scheduler.stop()
    scheduler.run_forever()
    assert log == []


def test_a_stop_while_it_waits():
    clock = ManualClock()

    def wait(ms):
        clock.advance(ms)
        scheduler.stop()

    scheduler, log = Scheduler(clock, wait), []
    scheduler.schedule_later_one_time(recording(scheduler, "a", log), 1)
    scheduler.run_forever()
    assert (log, clock.now()) == ([], 1000)


def test_after_a_stop_the_planner_runs_everything_again():
    scheduler, log = Scheduler(ManualClock()), []
    scheduler.schedule_recurring(scheduler.stop, 1)
    scheduler.run_forever()
    cancels = [scheduler.schedule_recurring(recording(scheduler, name, log), 1) for name in "abc"]
    scheduler._tasks[0].cancel()
    assert scheduler.run_due(1000) == 3
    assert len(cancels) == 3


def test_a_wait_may_end_early():
    clock = ManualClock()
    waits = []

    def wait(ms):
        assert ms > 0
        waits.append(ms)
        clock.advance(max(1, ms // 2))
        if len(waits) == 1:
            # something came in, and adds a task that is due earlier
            scheduler.schedule_later_one_time(recording(scheduler, "early", log), 0.1)

    scheduler, log = Scheduler(clock, wait), []
    scheduler.schedule_later_one_time(recording(scheduler, "late", log), 10)
    scheduler.schedule_later_one_time(lambda: clock.advance(10), 9.995)  # longer than until the next is due
    scheduler.run_forever()
    assert (log[0], log[1][0], len(log)) == (("early", 5097), "late", 2)
    assert waits[:3] == [9995, 100, 50]


# Sensors


class Counter:
    sensor_id = "c"

    def __init__(self, end=None):
        self.count = 0
        self.end = end

    def sample(self):
        self.count += 1
        if self.end is not None and self.count > self.end:
            raise StopIteration
        return self.count


def test_a_sensor_is_sampled_into_its_sinks():
    clock = ManualClock(wall=5000)
    scheduler, one, two = Scheduler(clock), Recorder(), []
    cancel = scheduler.schedule_sensor(Counter(), 10, one, two.append)
    until(scheduler, 30000)
    cancel()
    until(scheduler, 60000)
    assert one.events == [("c", 5000, 1), ("c", 15000, 2), ("c", 25000, 3), ("c", 35000, 4)] == two


def test_a_stream_that_has_ended_is_not_scheduled_any_more():
    scheduler, sink, sensor = Scheduler(ManualClock()), Recorder(), Counter(end=2)
    scheduler.schedule_sensor(sensor, 1, sink)
    scheduler.run_forever()
    assert ([e.val for e in sink.events], sink.end, sensor.count) == ([1, 2], "completed", 3)
    assert scheduler._tasks == []


def test_a_cancelled_sensor_is_not_sampled_although_it_was_due():
    scheduler, sensor = Scheduler(ManualClock()), Counter()
    cancels = []
    scheduler.schedule_recurring(lambda: [cancel() for cancel in cancels], 1)
    cancels.append(scheduler.schedule_sensor(sensor, 1, Recorder()))
    until(scheduler, 3000)
    assert sensor.count == 0


# The clock


def with_ticks(bits, start, test):
    """Run `test(clock, advance)` with a tick counter that wraps at 2**bits ms and begins at `start`."""
    period = 1 << bits
    ticks = [start % period]

    def diff(later, earlier):
        return ((later - earlier + period // 2) % period) - period // 2

    def advance(ms):
        ticks[0] = (ticks[0] + ms) % period

    original = _compat.ticks_ms, _compat.ticks_diff
    _compat.ticks_ms = lambda: ticks[0]
    _compat.ticks_diff = diff
    try:
        test(Clock(), advance)
    finally:
        _compat.ticks_ms, _compat.ticks_diff = original


def test_a_counter_that_wraps_anywhere():
    for start in list(range(990, 1030)) + [0, 1, 511, 512, 513]:

        def steps(clock, advance):
            passed = 0
            assert clock.now() == 0
            for ms in (1, 0, 17, 511, 250, 511, 3):
                advance(ms)
                passed += ms
                assert clock.now() == passed, ms

        with_ticks(10, start, steps)


def test_a_schedule_over_many_wraps_of_a_board_s_counter():
    for start in ((1 << 30) - 5, (1 << 29) + 1, 123456789):

        def weeks(clock, advance):
            scheduler = Scheduler(clock, advance)
            hour = 0

            def hourly():
                nonlocal hour
                assert clock.now() == hour * 3600000
                hour += 1
                if hour == 24 * 40:
                    scheduler.stop()

            scheduler.schedule_recurring(hourly, 3600)
            scheduler.run_forever()
            assert hour == 24 * 40  # a counter of 30 bits wraps after 12 days

        with_ticks(30, start, weeks)


def test_one_sleep_is_short_enough_for_the_counter():
    slept = []

    class Time:
        sleep = slept.append

    original = _compat.time, _compat.sleep_ms
    _compat.time = Time
    _compat.sleep_ms = lambda ms: slept.append(ms / 1000)
    try:
        clock = Clock()
        clock.sleep(5)
        clock.sleep(365 * DAY_MS)
    finally:
        _compat.time, _compat.sleep_ms = original
    assert slept == [5 / 1000, LONGEST_SLEEP_MS / 1000]
    assert LONGEST_SLEEP_MS < 1 << 29  # half of what a 32-bit counter can tell apart


def test_a_step_of_the_wall_clock_moves_no_due_time():
    clock = ManualClock(wall=0)
    scheduler, sink = Scheduler(clock), Recorder()
    scheduler.schedule_sensor(Counter(), 10, sink)
    until(scheduler, 10000)
    clock.step_wall(-5000000)
    until(scheduler, 20000)
    clock.step_wall(8000000)
    until(scheduler, 30000)
    assert [e.ts for e in sink.events] == [0, 10000, -4980000, 3030000]
    assert clock.now() == 30000


def test_the_real_clock():
    clock = Clock()
    start = clock.now()
    clock.sleep(20)
    assert 15 <= clock.now() - start < 10000
    assert clock.wall() > 1700000000000
