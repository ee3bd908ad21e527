# heap: 1024k
# timeout: 60
# lanes: cpython mpy-armhf
"""A board without network for a week under an outbox of 256 KB: each policy keeps its promise, and the counters agree.

The readings are counted from 1, so that what arrives in the end says which of them are missing.
"""

import os

from bourn import Scheduler, SensorAsOutputThing
from bourn._compat.system import random_bytes
from bourn.device.sender import Sender
from bourn.spool.segments import SegmentSpool
from bourn.testing import FaultyFiles, FaultyNetwork, ManualClock, MemoryHub

BYTES = 256 << 10
EVERY_S = 120
WEEK_S = 7 * 86400
SAMPLES = WEEK_S // EVERY_S
START = 1700000000000

# Eighty thousand attempts to dial are a minute under emulation, and say no more than some thousand.
Sender.backoff_cap_ms = 300000


class Counter:
    sensor_id = "greenhouse/north/bed-7/temperature"
    count = 0

    def sample(self):
        self.count += 1
        return self.count


class Tally:
    """A list of readings that keeps no more than whether they came in order, and which were left out."""

    def __init__(self, clock):
        self.clock = clock
        self.count = 0
        self.first = None
        self.last = 0
        self.missing = 0  # between the first and the last
        self.wrong = 0

    def append(self, reading):
        number, ts, val = reading[2], reading[4], reading[5]
        self.wrong += val <= self.last
        if self.first is None:
            self.first = val
        else:
            self.missing += val - self.last - 1
        self.last = val
        self.count += 1
        # when the n-th sample was taken, unless the sampling was held up
        self.late = ts != START + (val - 1) * EVERY_S * 1000
        self.number = number


class Board:
    def __init__(self, policy):
        self.path = "/tmp/bourn-test-week-%02x%02x%02x%02x" % tuple(random_bytes(4))
        self.clock = ManualClock(START)
        self.network = FaultyNetwork(self.clock)
        self.hub = MemoryHub(self.network, window=500)
        self.hub.readings = self.tally = Tally(self.clock)
        self.files = FaultyFiles()  # it counts writes, and syncs nothing
        self.spool = SegmentSpool(self.path, files=self.files, max_bytes=BYTES, policy=policy)
        self.sender = Sender(
            "tcp://hub:7007", "s1", self.spool, self.clock, self.network.connect, poller=self.network.poller()
        )
        self.scheduler = Scheduler(self.clock, wait=self.sender.wait)
        self.sensor = Counter()
        thing = SensorAsOutputThing(self.sensor, self.clock)
        thing.connect(self.sender)
        self.task = self.scheduler.schedule_periodic(thing, EVERY_S)
        self.fullest = 0

    def run(self, s):
        def look():
            self.fullest = max(self.fullest, self.spool.size())

        looking = self.scheduler.schedule_recurring(look, 3600)
        self.scheduler.schedule_later_one_time(self.scheduler.stop, s - 1)
        self.scheduler.run_forever()
        looking.cancel()

    def bytes_on_disk(self):
        return sum([os.stat(self.path + "/" + name)[6] for name in os.listdir(self.path)])

    def close(self):
        self.sender.close()
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)


def offline(policy):
    board = Board(policy)
    board.network.down = True
    board.run(WEEK_S)
    assert board.sender.state == "down" and board.sender.counters["failures"] > 1000
    assert board.bytes_on_disk() == board.spool.size() <= BYTES >= board.fullest
    assert board.fullest > BYTES * 7 // 8, "it is made use of"
    return board


def home(board):
    """The network is back: everything that waits goes on."""
    waiting = board.spool.waiting()
    board.network.heal()
    assert board.sender.drain(3600 * 1000), board.sender.last_error
    tally = board.tally
    counters = board.spool.counters
    assert tally.wrong == board.hub.duplicates == board.hub.holes == 0
    assert tally.count == waiting == board.sender.counters["acked"]
    assert counters["appended"] == tally.count + counters["dropped"]
    assert tally.missing == 0, "what is there has no hole"
    return tally, counters


def test_drop_oldest_keeps_the_newest():
    board = offline("drop_oldest")
    assert (board.sensor.count, board.spool.counters["appended"]) == (SAMPLES, SAMPLES)
    tally, counters = home(board)
    assert tally.last == SAMPLES and tally.first == counters["dropped"] + 1 and not tally.late
    assert (counters["refused"], counters["torn"]) == (0, 0)
    # one gap, which says which and why; with the readings it covers all numbers
    assert board.hub.gaps == [("s1", board.spool.epoch, 1, counters["dropped"], "full")]
    assert counters["dropped"] + tally.count == SAMPLES
    # a sixteenth of the bytes goes at a time
    assert tally.count * 72 > BYTES * 7 // 8
    # few writes: one a reading, and some for each file
    assert board.files.writes < SAMPLES * 1.02 + 20
    board.close()


def test_drop_newest_keeps_the_oldest():
    board = offline("drop_newest")
    assert board.sensor.count == SAMPLES
    tally, counters = home(board)
    assert (tally.first, tally.last) == (1, tally.count) and not tally.late
    assert counters["dropped"] == 0 and board.hub.gaps == []
    assert counters["refused"] == SAMPLES - tally.count > 0
    board.run(3600)  # and then it takes readings again
    assert board.sender.drain(60000) and board.tally.last == board.sensor.count > SAMPLES
    assert board.tally.missing == counters["refused"]
    board.close()


def test_block_holds_the_sampling_and_drops_nothing():
    board = Board("block")
    board.network.down = True

    def back():
        board.network.down = False

    # While the flow is blocked the scheduler runs nothing, so the network comes back by its own clock.
    real = board.network.connect

    def connect(url):
        if board.clock.now() >= WEEK_S * 1000:
            back()
        return real(url)

    board.sender._connect = connect
    board.run(WEEK_S + 3600)
    tally = board.tally
    assert board.sender.drain(3600 * 1000)
    counters = board.spool.counters
    assert counters["dropped"] == 0 and board.hub.gaps == [] and tally.wrong == tally.missing == 0
    assert (tally.first, tally.last, tally.count) == (1, board.sensor.count, board.sensor.count)
    assert counters["appended"] == tally.count
    # what was not sampled was counted: the periods that passed while the flow was held up
    assert board.task.missed > 0 and board.sensor.count + board.task.missed == (WEEK_S + 3600) // EVERY_S
    assert board.bytes_on_disk() <= BYTES
    board.close()
