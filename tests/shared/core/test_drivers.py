# timeout: 60
"""What waits between wake-ups: each driver keeps the grid and the count of wake-ups, and ends at once when told.

Sleep of a board is simulated: its clock, its RTC memory, a reset. Threads and asyncio run in real time, for moments.
"""

from bourn import Clock, Scheduler
from bourn._compat import threads as threading_here
from bourn.drivers.deep_sleep import HEAD_BYTES, STATE_BYTES, DeepSleep
from bourn.drivers.light_sleep import LightSleep
from bourn.testing import ManualClock
from run import Skip


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as e:
        return e
    raise AssertionError("no %s" % kind.__name__)


def noting(log, clock, name):
    return lambda: log.append((name, clock.now()))


# Deep sleep


class Reset(BaseException):
    """What `machine.deepsleep` does to a program."""


class Board:
    """A board that sleeps deeply: real time goes on, RTC memory stays, everything else is gone."""

    def __init__(self, boot_ms=0, early=()):
        self.ms = 0  # real time since power on
        self.memory_bytes = b""
        self.boots = 0
        self.boot_ms = boot_ms
        self.early = list(early)  # sleeps (by number) that a pin ends after a third
        self.clock = None

    def memory(self, data=None):
        if data is not None:
            self.memory_bytes = bytes(data)
        return self.memory_bytes

    def sleep(self, ms):
        self.ms += self.clock.now() - self.woke  # what was spent awake
        self.ms += ms // 3 if self.boots in self.early else ms
        raise Reset

    def rtc_ms(self):
        """The wall clock: it goes on during the sleep."""
        return 1700000000000 + self.ms + (self.clock.now() - self.woke if self.clock else 0)

    def boot(self, program, measured):
        self.boots += 1
        self.ms += self.boot_ms
        self.clock, self.woke = None, 0
        clock = ManualClock()
        if measured:
            asleep = DeepSleep(self.memory, self.sleep, self.rtc_ms, clock=clock)
        else:
            asleep = DeepSleep(self.memory, self.sleep, boot_ms=self.boot_ms, clock=clock)
        self.clock, self.woke = clock, clock.now()
        try:
            program(asleep)
        except Reset:
            return


def awake(board, log, tasks, until_ms, measured=True, phase_ms=0):
    """Let the board boot again and again until the time is over; the program is the same every time."""

    def program(asleep):
        scheduler = Scheduler(asleep.clock, phase_ms=phase_ms)
        for name, interval, slack in tasks:
            scheduler.schedule_recurring(noting(log, asleep.clock, name), interval, slack, at_once=True)
        asleep.run(scheduler)

    while board.ms < until_ms:
        board.boot(program, measured)


def test_the_grid_survives_every_reset():
    board, log = Board(), []
    awake(board, log, (("a", 30, 0), ("b", 45, 0), ("c", 60, 0)), 1800000)
    for name, interval in (("a", 30000), ("b", 45000), ("c", 60000)):
        assert [at for n, at in log if n == name] == list(range(0, 1800000, interval))
    assert board.boots == 3840 // 48  # as often as a device that never sleeps deeply wakes in half an hour


def test_what_fell_due_during_the_boot_runs_late_and_once():
    for measured in (True, False):
        board, log = Board(boot_ms=350), []
        awake(board, log, (("a", 30, 0), ("b", 45, 0)), 600000, measured)
        first = 350 if measured else 0  # a power on: nothing is known of the time before
        a = [at for name, at in log if name == "a"]
        assert len(a) == 20
        assert [at - at % 30000 for at in a] == list(range(0, 600000, 30000))
        assert all(at % 30000 <= 350 for at in a[1:]), (a, first)  # late by the boot, and no drift
        assert [at // 45000 for name, at in log if name == "b"] == list(range(14))


def test_woken_early_it_sleeps_on():
    board, log = Board(early=(2, 3, 7)), []
    awake(board, log, (("a", 30, 0), ("b", 45, 0)), 300000)
    assert sorted(at for name, at in log if name == "a") == list(range(0, 300000, 30000))


def test_a_window_that_is_open_when_it_goes_to_sleep_is_not_lost():
    board, log = Board(), []
    awake(board, log, (("a", 30, 0), ("b", 20, 15)), 240000)
    assert [at for name, at in log if name == "a"] == list(range(0, 240000, 30000))
    b = [at for name, at in log if name == "b"]
    # once in each period after the first run at once, within its window
    assert [at // 20000 for at in b[1:]] == list(range(1, len(b))), b
    assert all(at % 20000 <= 15000 for at in b)
    assert len(b) >= 11


def test_a_phase_survives():
    board, log = Board(), []
    awake(board, log, (("a", 60, 0),), 300000, phase_ms=7000)
    assert [at for _, at in log] == [0, 7000, 67000, 127000, 187000, 247000]


def test_a_long_sleep_is_cut_and_nothing_runs_in_between():
    board, log = Board(), []
    awake(board, log, (("day", 86400, 0),), 3 * 86400000)
    assert [at for _, at in log] == [0, 86400000, 172800000]
    assert board.boots == 3 * 24


def test_a_state_counts_once():
    board = Board()
    asleep = DeepSleep(board.memory, board.sleep, clock=ManualClock())
    board.clock, board.woke = asleep.clock, 0
    kept = []

    def before():
        kept.append(asleep.clock.now())
        asleep.keep(b"numbers up to 7")

    asleep.before_sleep = before
    scheduler = Scheduler(asleep.clock)
    scheduler.schedule_recurring(int, 60)
    scheduler.run_due(0)
    try:
        asleep.run(scheduler)
    except Reset:
        assert kept == [0]
    first = DeepSleep(board.memory, board.sleep, clock=ManualClock())
    assert (first.survived, first.state) == (True, b"numbers up to 7")
    again = DeepSleep(board.memory, board.sleep, clock=ManualClock())  # a watchdog's reset: no sleep was entered
    assert (again.survived, again.state, again.clock.now()) == (True, b"", first.clock.now())
    roomy = DeepSleep(lambda: None, None, clock=ManualClock(), state_bytes=2000)
    roomy.keep(bytes(2000))
    raises(ValueError, roomy.keep, bytes(2001))


def test_a_spoiled_record_is_a_start_from_nothing():
    board, log = Board(), []
    awake(board, log, (("a", 30, 0),), 30000)
    good = board.memory_bytes
    assert DeepSleep(board.memory, None, clock=ManualClock()).survived
    for i in range(len(good)):
        for bit in (1, 128):
            spoiled = bytearray(good)
            spoiled[i] ^= bit
            asleep = DeepSleep(lambda spoiled=spoiled: spoiled, None, clock=ManualClock())
            assert (asleep.survived, asleep.clock.now(), asleep.state) == (False, 0, b""), i
    for other in (b"", None, b"x", good[:-1], good + b"\0", b"\0" * HEAD_BYTES, b"\xff" * 60):
        asleep = DeepSleep(lambda other=other: other, None, clock=ManualClock())
        assert (asleep.survived, asleep.clock.now(), asleep.state) == (False, 0, b""), other


def test_state_survives_only_when_it_was_kept():
    board, seen = Board(), []

    def program(asleep):
        seen.append((asleep.survived, asleep.state))
        scheduler = Scheduler(asleep.clock)
        scheduler.schedule_recurring(lambda: asleep.keep(b"%d" % len(seen)), 60)
        asleep.run(scheduler)

    for _ in range(4):
        board.boot(program, True)
    assert seen == [(False, b""), (True, b"1"), (True, b"2"), (True, b"3")]
    asleep = DeepSleep(board.memory, None, clock=ManualClock())
    asleep.keep(b"x" * STATE_BYTES)
    raises(ValueError, asleep.keep, b"x" * (STATE_BYTES + 1))
    assert HEAD_BYTES + STATE_BYTES + 4 <= 492


def test_a_short_pause_is_no_sleep():
    board, log = Board(), []

    def program(asleep):
        scheduler = Scheduler(asleep.clock)
        scheduler.schedule_recurring(noting(log, asleep.clock, "a"), 0.4)
        scheduler.schedule_later_one_time(scheduler.stop, 3)
        asleep.run(scheduler)

    board.boot(program, True)
    assert [at for _, at in log] == list(range(0, 2801, 400))
    assert board.memory_bytes == b""


# Light sleep


def test_light_sleep_with_a_counter_that_goes_on():
    clock, slept, log = ManualClock(), [], []

    def sleep(ms):
        slept.append(ms)
        clock.advance(ms)

    scheduler = Scheduler(clock, LightSleep(clock, sleep).wait)
    scheduler.schedule_recurring(noting(log, clock, "a"), 60)
    scheduler.schedule_later_one_time(scheduler.stop, 180)
    scheduler.run_forever()
    assert [at for _, at in log] == [0, 60000, 120000, 180000]
    assert slept == [60000, 60000, 60000]


def test_light_sleep_with_a_counter_that_stands_still():
    for rtc in (False, True):
        clock, real, log = ManualClock(), [0], []

        def sleep(ms, real=real, rtc=rtc):
            real[0] += ms // 2 if rtc and ms > 40000 else ms  # a pin wakes it early

        def wait_of(clock=clock, sleep=sleep, real=real, rtc=rtc):
            if rtc:
                return LightSleep(clock, sleep, rtc_ms=lambda: real[0]).wait
            return LightSleep(clock, sleep, counter_stands=True).wait

        scheduler = Scheduler(clock, wait_of())
        scheduler.schedule_recurring(lambda log=log, real=real: log.append(real[0]), 60)
        scheduler.schedule_later_one_time(scheduler.stop, 180)
        scheduler.run_forever()
        assert log == [0, 60000, 120000, 180000], rtc


def test_light_sleep_leaves_short_and_long_alone():
    clock, slept = ManualClock(), []
    wait = LightSleep(clock, slept.append).wait
    wait(9)
    assert (slept, clock.now()) == ([], 9)
    wait(10)
    wait(86400000)
    assert slept == [10, 3600000]


def test_a_clock_takes_what_its_counter_has_not_seen():
    clock = Clock()
    before = clock.now()
    clock.advance(1 << 40)
    assert 0 <= clock.now() - before - (1 << 40) < 10000


# asyncio


def loop():
    try:
        import asyncio
    except ImportError as e:
        raise Skip(str(e))
    return asyncio


def test_in_an_event_loop():
    asyncio = loop()
    from bourn.drivers import event_loop

    log = []
    scheduler = Scheduler()

    def task():
        log.append("a")
        if len(log) >= 5:
            scheduler.stop()

    async def main():
        scheduler.schedule_recurring(task, 0.003)
        scheduler.schedule_recurring(int, 3600)
        await event_loop.run(scheduler)

    asyncio.run(main())
    assert log == ["a"] * 5


def test_what_is_added_and_stopped_by_a_coroutine_ends_the_wait():
    asyncio = loop()
    from bourn.drivers import event_loop

    log = []
    scheduler = Scheduler()

    async def other():
        await asyncio.sleep(0.01)
        scheduler.schedule_later_one_time(lambda: log.append("added"), 0.001)
        while not log:
            await asyncio.sleep(0)
        scheduler.stop()

    async def main():
        scheduler.schedule_recurring(int, 3600)
        await asyncio.gather(event_loop.run(scheduler), other())

    asyncio.run(main())
    assert log == ["added"]


def test_an_event_loop_ends_when_nothing_is_scheduled():
    asyncio = loop()
    from bourn.drivers import event_loop

    log = []
    scheduler = Scheduler()
    scheduler.schedule_later_one_time(lambda: log.append("once"), 0.002)
    asyncio.run(event_loop.run(scheduler))
    assert log == ["once"]


# Threads and signals


def threads():
    try:
        return threading_here.threads()
    except ImportError as e:
        raise Skip(str(e))


def test_stop_from_another_thread_ends_the_wait_at_once():
    threading = threads()
    from bourn.drivers.wakeable import Wakeable

    scheduler = Scheduler(ManualClock())
    Wakeable(scheduler)
    scheduler.schedule_later_one_time(int, 3600)
    thread = threading.Thread(target=scheduler.run_forever)
    thread.start()
    scheduler.stop()
    thread.join(10)
    assert not thread.is_alive()
    scheduler.wake()  # nobody waits: the next wait returns at once, and a second one does not
    scheduler.wake()
    scheduler.wait(3600000)


def test_stop_from_a_signal_handler_ends_the_wait_at_once():
    try:
        import signal
    except ImportError as e:
        raise Skip(str(e))
    from bourn.drivers.wakeable import Wakeable

    scheduler = Scheduler()
    Wakeable(scheduler)
    scheduler.schedule_later_one_time(int, 3600)
    before = signal.signal(signal.SIGALRM, lambda number, frame: scheduler.stop())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        scheduler.run_forever()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert scheduler.next_wake() is not None  # it has not run: the stop ended it


def test_a_thread_of_its_own():
    threading = threads()
    from bourn.drivers.thread import WAITING_CALLS, SchedulerThread

    told = []
    driver = SchedulerThread(Scheduler(), failed=told.append)
    ran, failed = threading.Event(), threading.Event()

    def failing():
        if driver.errors == 1:
            failed.set()
        raise OSError(5, "bus")

    driver.start()  # nothing is scheduled, and it goes on
    driver.call(lambda: driver.scheduler.schedule_recurring(failing, 0.002))
    driver.call(lambda: driver.scheduler.schedule_recurring(int, 3600))
    assert failed.wait(10)
    driver.call(ran.set)
    assert ran.wait(10)
    assert driver.stop(10)
    assert driver.errors >= 2
    assert isinstance(driver.last_error, OSError)
    assert len(told) == driver.errors
    for _ in range(WAITING_CALLS):
        driver.call(int)
    raises(OverflowError, driver.call, int)


def test_a_task_may_stop_its_thread():
    threads()
    from bourn.drivers.thread import SchedulerThread

    driver = SchedulerThread(Scheduler())
    driver.call(lambda: driver.scheduler.schedule_later_one_time(driver.scheduler.stop, 0.001))
    driver.start()
    driver._thread.join(10)
    assert driver.stop(10)
