# heap: 256k
"""Readings from before the time was known: on the medium at once, and with their true time when it is known."""

import os

from bourn._compat.system import random_bytes
from bourn.clock import RELATIVE, is_relative
from bourn.spool.segments import SegmentSpool
from bourn.spool.timed import EBUSY, TimedSpool
from bourn.testing import FaultyFiles, PowerCut

T0 = 1800000000000  # the time of day at which a run begins


class RunClock:
    """A clock of one run that has run for `ms`; its `offset` is what is known."""

    def __init__(self):
        self.ms = 0
        self.offset = None

    def wall(self):
        return self.ms + (RELATIVE if self.offset is None else self.offset)


class Device:
    def __init__(self):
        self.path = "/tmp/bourn-test-timed-%02x%02x%02x%02x" % tuple(random_bytes(4))
        os.mkdir(self.path)

    def boot(self, files=None, **options):
        """A new run: its clock and its outbox."""
        self.clock = RunClock()
        self.files = files or FaultyFiles(lose_unsynced=True)
        self.spool = TimedSpool(SegmentSpool(self.path, self.files, 8000, 600, **options), self.clock)
        return self

    def sample(self, ms):
        """A reading `ms` after the beginning of the run, whose value is that."""
        self.clock.ms = ms
        return self.spool.append(["s", self.clock.wall(), ms])

    def known(self, offset=T0):
        self.clock.offset = offset

    def everything(self):
        try:
            return [(record[1], record[2]) for _, record in self.spool.read(None, 100)]
        except OSError as e:
            assert e.args[0] == EBUSY
            return []

    def power_cut(self):
        self.files.cut()

    def end(self):
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)


def test_nothing_is_read_before_and_all_with_its_time_after():
    device = Device().boot()
    for ms in (5, 10, 15):
        assert device.sample(ms)
    assert is_relative(device.clock.wall())
    assert (device.everything(), device.spool.waiting(), device.spool.held(), device.spool.seq) == ([], 0, 3, 3)
    early = ["s", device.clock.wall(), 15]  # made before, and appended after, as out of a window
    device.known()
    device.spool.append(early)
    device.sample(20)
    assert device.everything() == [(T0 + 5, 5), (T0 + 10, 10), (T0 + 15, 15), (T0 + 15, 15), (T0 + 20, 20)]
    assert (device.spool.waiting(), device.spool.held(), device.spool.seq) == (5, 0, 5)
    assert device.spool.counters["estimated"] == 0
    device.end()


def test_a_later_setting_changes_no_time_that_was_given():
    device = Device().boot()
    device.sample(5)
    device.known()
    assert device.everything() == [(T0 + 5, 5)]
    device.known(T0 + 9000)
    assert device.everything() == [(T0 + 5, 5)]
    device.spool.close()
    device.boot()
    device.known(T0 + 77777)
    assert device.everything() == [(T0 + 5, 5)], "nor does the next run"
    device.end()


def test_what_a_run_left_without_a_time_is_from_before_the_next_one():
    device = Device().boot()
    device.sample(1000)
    device.sample(4000)
    device.power_cut()
    device.boot()
    device.sample(500)
    device.sample(3000)
    device.power_cut()
    device.boot()
    assert device.everything() == []
    device.sample(7)
    device.known()
    # each run is taken to have ended when the next began
    second = T0 - 3000
    first = second - 4000
    expected = [(first + 1000, 1000), (first + 4000, 4000), (second + 500, 500), (second + 3000, 3000), (T0 + 7, 7)]
    assert device.everything() == expected
    assert device.spool.counters["estimated"] == 2
    device.power_cut()
    device.boot()
    device.known(T0 + 123456)
    assert device.everything() == expected, "what may have been sent keeps its time"
    device.end()


def test_a_clock_that_is_right_from_the_start_writes_nothing_more():
    device = Device().boot()
    device.known()
    device.sample(5)
    assert device.everything() == [(T0 + 5, 5)]
    assert "times" not in os.listdir(device.path)
    device.end()


def test_a_power_cut_at_every_step_loses_no_reading_and_changes_no_time():
    step = 0
    while True:
        step += 1
        device = Device()
        taken = []
        seen = {}
        files = FaultyFiles(cut_after=step, torn=9, lose_unsynced=True)
        over = False
        try:
            device.boot(files)
            for ms in (10, 20, 30):
                place = device.sample(ms)
                taken.append((place, ms))
            device.known()
            for place, record in device.spool.read(None, 100):
                seen[place] = record[1]
            taken.append((device.sample(40), 40))
            device.spool.close()
            over = True
        except PowerCut:
            pass
        device.boot()
        device.known(T0 + 60000)
        there = dict(device.spool.read(None, 100))
        for place, ms in taken:
            assert there[place][2] == ms and not is_relative(there[place][1]), (step, there)
            # true, or (when the power went before it was noted) the latest that it can be
            assert there[place][1] in (T0 + ms, T0 + 60000 - 30 + ms, T0 + 60000 - 20 + ms, T0 + 60000 - 10 + ms)
        for place, ts in seen.items():
            assert there[place][1] == ts, (step, "it was read with this time")
        device.end()
        if over and step > files.steps:
            break
    assert step > 15


def test_a_damaged_file_of_times_costs_exactness_and_nothing_else():
    device = Device().boot()
    device.sample(10)
    device.sample(20)
    device.known()
    assert device.everything()
    device.spool.close()
    with open(device.path + "/times", "rb") as file:
        good = file.read()
    for data in (b"", good[:-3], good.replace(b"18", b"19"), b"7", b"[[], 1]"):
        with open(device.path + "/times", "wb") as file:
            file.write(data)
        device.boot()
        device.known(T0 + 5000)
        assert device.everything() == [(T0 + 4990, 10), (T0 + 5000, 20)], data
    device.end()


def test_a_full_disk_refuses_the_reading_and_not_the_program():
    device = Device().boot(FaultyFiles(full_after=1))
    try:
        device.sample(5)
        raise AssertionError("no error")
    except OSError:
        pass
    device.files.full_after = None
    assert device.sample(6)
    device.files.full_after = device.files.writes + 1
    device.known()
    # sending is what makes room
    assert device.everything() == [(T0 + 6, 6)] and (device.spool.held(), device.spool.waiting()) == (0, 1)
    device.files.full_after = None
    device.spool.close()
    device.boot()
    device.known(T0 + 1000)
    assert device.everything() == [(T0 + 1000, 6)] and device.spool.counters["estimated"] == 1
    device.end()


def test_a_reading_that_brings_its_own_time_waits_for_no_clock():
    device = Device().boot()
    device.spool.append(["s", T0 + 5, 5])
    assert device.everything() == [(T0 + 5, 5)] and "times" not in os.listdir(device.path)
    device.sample(10)
    device.spool.append(["s", T0 + 15, 15])
    assert device.everything() == [] and device.spool.held() == 3  # now the epoch waits, and keeps its order
    device.known()
    assert device.everything() == [(T0 + 5, 5), (T0 + 10, 10), (T0 + 15, 15)]
    device.end()
