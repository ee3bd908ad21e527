# heap: 1024k
# timeout: 60
"""An outbox over deep sleeps: one epoch, each number once, right times also where nobody knew the time for long."""

import os

from bourn.device.board_clock import BoardClock
from bourn.device.sender import Sender
from bourn.drivers.deep_sleep import STATE_BYTES, DeepSleep
from bourn.scheduler import Scheduler
from bourn.spool.asleep import carry
from bourn.spool.ram import RamFirst
from bourn.spool.segments import SegmentSpool
from bourn.spool.timed import EBUSY, TimedSpool
from bourn.testing import FaultyNetwork, ManualClock, MemoryHub, raises

T0 = 1800000000000  # when the power came
Y2000 = 946684800000


class Reset(BaseException):
    """What `machine.deepsleep` does to a program."""


def folder():
    path = "%s/bourn-asleep-%s" % ("/dev/shm" if "shm" in os.listdir("/dev") else "/tmp", os.urandom(4).hex())
    os.mkdir(path)
    return path


class Board:
    """It samples every minute and sends every 10; between it is off. `wakes` programs, each from nothing."""

    def __init__(self, seed=1, boot_ms=300, state_bytes=STATE_BYTES, carries=True):
        self.path = folder()
        self.ms = 0  # real time since power on
        self.rtc = b""
        self.boot_ms = boot_ms
        self.state_bytes = state_bytes
        self.carries = carries
        self.knows_after = None  # the wake-up in which somebody says what time it is
        self.there = True  # the hub
        self.wakes = 0
        self.taken = []  # (value, real time) of each sample
        self.epochs = []
        self.clock = ManualClock(Y2000)
        self.network = FaultyNetwork(self.clock, seed)
        self.hub = MemoryHub(self.network)
        self.crash_in = None

    def memory(self, data=None):
        if data is not None:
            self.rtc = bytes(data)
        return self.rtc

    def sleep(self, ms):
        self.ms += self.clock.now() - self.woke + ms
        raise Reset

    def wake(self):
        """One run of the program, from the reset to the sleep, or to a reset without one."""
        self.wakes += 1
        self.ms += self.boot_ms if self.wakes > 1 else 0
        self.clock = machine = ManualClock(Y2000)
        self.network.clock = machine
        asleep = DeepSleep(self.memory, self.sleep, boot_ms=self.boot_ms, clock=machine, state_bytes=self.state_bytes)
        self.woke = machine.now()
        clock = BoardClock(machine)
        self.files = SegmentSpool(self.path, max_bytes=1 << 16, segment_bytes=4096, sync_each=False)
        outbox = RamFirst(self.files, 50)
        if self.carries:
            self.carried = carry(asleep, outbox, clock)
        self.outbox = outbox = TimedSpool(outbox, clock)
        if outbox.epoch not in self.epochs:
            self.epochs.append(outbox.epoch)
        sender = Sender("tcp://hub:7007", "b", outbox, clock, self.network.connect, poller=self.network.poller())
        scheduler = Scheduler(clock)

        def sample():
            self.taken.append((len(self.taken) + 1, self.ms + machine.now() - self.woke))
            sender.on_next(("s", clock.wall(), len(self.taken)))
            if self.crash_in is not None and self.wakes >= self.crash_in:
                self.crash_in = None
                raise Reset

        def send():
            if self.knows_after is not None and self.wakes > self.knows_after:
                clock.set(T0 + self.ms + machine.now() - self.woke)
            if self.there and clock.offset is not None:
                sender.drain(20000)

        scheduler.schedule_recurring(sample, 60, at_once=not asleep.survived)
        scheduler.schedule_recurring(send, 600)
        try:
            asleep.run(scheduler)
        except Reset:
            for connection in list(self.network.connections):
                connection.cut()
            if self.files._active is not None:
                self.files._active.close()

    def hours(self, hours):
        while self.ms < hours * 3600000:
            self.wake()

    def arrived(self):
        return [(val, ts) for _, _, _, _, ts, val in self.hub.readings]

    def close(self):
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)


def right(board, most_ms):
    """All that was taken has arrived, once and in order, with its time."""
    while board.outbox.waiting():
        board.wake()
    assert [val for val, _ in board.arrived()] == [val for val, _ in board.taken], (
        len(board.arrived()),
        len(board.taken),
    )
    worst = max([abs(ts - T0 - at) for (_, ts), (_, at) in zip(board.arrived(), board.taken)])
    assert worst <= most_ms, worst


def test_one_epoch_and_right_times_over_hours_without_a_time():
    board = Board()
    board.knows_after = 100
    board.hours(2)
    assert len(board.epochs) == 1 and board.wakes > 110
    right(board, 10)
    assert board.outbox.counters["estimated"] == 0
    assert not board.hub.gaps
    board.close()


def test_flash_is_written_as_seldom_as_the_memory_that_survives_allows():
    board = Board()
    board.there = False
    board.hours(2)
    files = len(os.listdir(board.path))
    assert len(board.taken) >= 120 and files < 20, (len(board.taken), files)  # not one for each wake-up
    roomy = Board(state_bytes=2000)
    roomy.there = False
    roomy.hours(2)
    assert len(os.listdir(roomy.path)) < files // 2
    for one in (board, roomy):
        one.there, one.knows_after = True, 0
        one.hours(2.2)
        right(one, 10)
        one.close()


def test_a_reset_without_a_sleep_begins_a_new_epoch():
    """What was appended since the record was made has numbers that must not come again with other data."""
    board = Board()
    board.knows_after = 0
    board.there = False
    board.hours(1)
    assert board.rtc and board.carried
    board.crash_in = board.wakes + 1
    board.wake()
    board.there = True
    board.hours(2)
    assert len(board.epochs) == 2 and not board.hub.duplicates
    values = [val for val, _ in board.arrived()]
    assert values == sorted(values) and len(values) == len(set(values))
    lost = set(range(1, len(board.taken) + 1)) - set(values)
    assert len(lost) <= 50, lost  # what was in RAM alone when the watchdog bit
    board.close()


def test_what_an_older_epoch_left_waits_over_the_sleeps_of_the_next():
    board = Board()
    board.knows_after = 0
    board.there = False
    board.hours(1)
    board.crash_in = board.wakes + 1
    board.wake()
    written = board.files.seq  # of the first epoch; what was in RAM alone goes with the reset
    board.hours(1.2)
    assert board.carried and len(board.epochs) == 2 and written > 40
    board.there = True
    board.hours(1.5)
    while board.outbox.waiting():
        board.wake()
    values = [val for val, _ in board.arrived()]
    assert values == sorted(set(values)) and values[:written] == list(range(1, written + 1)), (written, values)
    board.close()


def test_a_reading_that_slept_in_ram_waits_for_the_time_like_any_other():
    """Also where the program that wakes up has nothing to append."""
    board = Board()
    rtc = [b""]
    now = [0]

    def memory(data=None):
        if data is not None:
            rtc[0] = bytes(data)
        return rtc[0]

    def sleep(ms):
        now[0] += ms
        raise Reset

    def boot():
        asleep = DeepSleep(memory, sleep, clock=ManualClock(Y2000))
        clock = BoardClock(asleep.clock)
        outbox = RamFirst(SegmentSpool(board.path, sync_each=False), 50)
        carry(asleep, outbox, clock)
        scheduler = Scheduler(clock)
        scheduler.schedule_recurring(lambda: None, 600)
        return asleep, clock, TimedSpool(outbox, clock), scheduler

    asleep, clock, outbox, scheduler = boot()
    first = outbox.append(("s", clock.wall(), 7))
    raises(Reset, asleep.run, scheduler)
    asleep, clock, outbox, scheduler = boot()
    assert asleep.survived and (outbox.held(), outbox.waiting()) == (1, 0)
    assert raises(OSError, outbox.read, None, 9).args[0] == EBUSY
    clock.set(T0 + now[0])
    assert outbox.read(None, 9) == [(first, ("s", T0, 7))]
    board.close()


def test_a_machine_that_has_kept_its_time_is_believed():
    for wall, offset in ((Y2000, 5000), (T0, T0)):
        board = Board()

        class Awake:
            state = b'["00112233445566ff", 0, 0, 5000, []]'
            state_bytes = 400

        clock = BoardClock(ManualClock(wall))
        spool = SegmentSpool(board.path, sync_each=False)
        assert carry(Awake, RamFirst(spool, 9), clock)
        assert clock.offset == offset and spool.epoch == "00112233445566ff"
        board.close()


def test_without_it_every_wake_is_an_epoch():
    board = Board(carries=False)
    board.hours(0.2)
    assert len(board.epochs) == board.wakes > 10
    board.close()


def test_a_full_flash_costs_the_oldest_and_says_so():
    board = Board()
    board.there = False
    board.hours(0.5)

    class Full:
        def __init__(self, files):
            self.files = files

        def __getattr__(self, name):
            return getattr(self.files, name)

        def open(self, path, mode):
            if "w" in mode:
                raise OSError(28, "no space left")
            return self.files.open(path, mode)

    real = SegmentSpool.__init__

    def full(self, *arguments, **options):
        real(self, *arguments, **options)
        self._files = Full(self._files)

    SegmentSpool.__init__ = full
    board.knows_after = 0  # and the time becomes known while nothing can be noted
    try:
        board.hours(1)
    finally:
        SegmentSpool.__init__ = real
    board.there = True
    board.hours(1.5)
    values = [val for val, _ in board.arrived()]
    covered = set(values)
    for _, _, first, last, _ in board.hub.gaps:
        covered |= set(range(first, last + 1))
    assert values == sorted(set(values)) and len(values) < len(board.taken)
    assert covered == set(range(1, max(values) + 1)) and board.hub.gaps
    board.close()
