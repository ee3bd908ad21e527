# heap: 512k
"""Spools in RAM, and the operator that keeps readings until a sink has taken them."""

from bourn import OutputThing, Scheduler, SensorEvent, outbox
from bourn.spool import Gap
from bourn.spool.ram import RamFirst, RamSpool
from bourn.spool.segments import SegmentSpool
from bourn.testing import ManualClock, Recorder

SEED = 4
EPOCH = "00" * 8


def zeros(n):
    return b"\0" * n


def ones(n):
    return b"\xff" * n


class Memory:
    """The files of a spool, in RAM, and how often they were synced."""

    def __init__(self):
        self.files = {}
        self.syncs = 0
        self.full = False

    def open(self, path, mode):
        if "w" in mode:
            self.files[path] = bytearray()
        return _File(self, path)

    def sync(self, file):
        self.syncs += 1

    def sync_folder(self, path):
        pass

    def rename(self, old, new):
        self.files[new] = self.files.pop(old)

    def remove(self, path):
        del self.files[path]

    def listdir(self, path):
        return sorted([name[len(path) + 1 :] for name in self.files])

    def size(self, path):
        return len(self.files[path])


class _File:
    def __init__(self, memory, path):
        self.memory = memory
        self.path = path
        self.at = 0

    def write(self, data):
        if self.memory.full:
            raise OSError(5)
        self.memory.files[self.path].extend(data)
        return len(data)

    def seek(self, offset):
        self.at = offset

    def read(self, n):
        data = bytes(self.memory.files[self.path][self.at : self.at + n])
        self.at += len(data)
        return data

    def close(self):
        pass


def segments(memory=None, **options):
    return SegmentSpool("o", files=memory or Memory(), sync_each=False, **options)


def raises(kind, function, *args, **options):
    try:
        function(*args, **options)
    except kind as e:
        return e
    raise AssertionError("no %s" % kind.__name__)


def contents(spool, after=None):
    """What follows, read in portions of 3: numbers and records, gaps as (first, last, reason)."""
    found = []
    while True:
        entries = spool.read(after, 3)
        if not entries:
            return found
        assert len(entries) <= 3
        for place, what in entries:
            found.append((place[1], what if isinstance(what, Gap) else what[0]))
        after = entries[-1][0]


# RAM alone


def test_ram_keeps_its_bound_by_each_policy():
    spool = RamSpool(2)
    assert [spool.append([x]) for x in "abcd"] == [(spool.epoch, n) for n in (1, 2, 3, 4)]
    assert contents(spool) == [(2, Gap(1, 2, "full")), (3, "c"), (4, "d")]
    assert (spool.waiting(), spool.counters["dropped"]) == (2, 2)
    for policy in ("drop_newest", "block"):
        spool = RamSpool(2, policy)
        places = [spool.append([x]) for x in "abc"]
        assert places[2] is None and contents(spool) == [(1, "a"), (2, "b")]
        assert (spool.counters["appended"], spool.counters["refused"]) == (2, 1)
        spool.ack(places[0])
        assert spool.append(["d"]) == (spool.epoch, 3)
    raises(ValueError, RamSpool, 0)
    raises(ValueError, RamSpool, 1, "keep")
    raises(ValueError, spool.ack, places[1], "other")


def test_ram_forgets_what_was_acknowledged():
    spool = RamSpool(4)
    a, b, c = [spool.append([x]) for x in "abc"]
    assert spool.acked() is None
    spool.ack(b)
    spool.ack(a)
    assert spool.trim() == 2
    assert (spool.acked(), contents(spool), spool.waiting()) == (b, [(3, "c")], 1)
    assert contents(spool, spool.acked()) == [(3, "c")]
    spool.ack(c)
    spool.append(["d"])
    assert spool.trim() == 1 and contents(spool) == [(4, "d")]


def test_a_gap_in_ram_goes_when_it_was_acknowledged():
    spool = RamSpool(2)
    for x in "abcd":
        spool.append([x])
    spool.ack((spool.epoch, 2))
    assert contents(spool) == [(3, "c"), (4, "d")]
    spool.append(["e"])
    assert contents(spool) == [(3, Gap(3, 3, "full")), (4, "d"), (5, "e")]
    assert contents(spool, (spool.epoch, 4)) == [(5, "e")]


# RAM first


def test_nothing_is_written_while_the_reader_keeps_up():
    memory = Memory()
    spool = RamFirst(segments(memory), ram=4)
    for n in range(1, 101):
        place = spool.append([n])
        assert place == (spool.epoch, n) == (spool.epoch, spool.seq)
        assert contents(spool, spool.acked()) == [(n, n)]
        spool.ack(place)
        spool.trim()
    assert (memory.files, memory.syncs) == ({}, 0)
    assert (spool.waiting(), spool.counters["spilled"], spool.counters["appended"]) == (0, 0, 100)


def test_what_ram_has_no_room_for_is_written_at_once_with_one_sync():
    memory = Memory()
    spool = RamFirst(segments(memory), ram=10)
    for n in range(1, 12):
        spool.append([n])
    assert (spool.counters["spilled"], memory.syncs, spool.waiting()) == (10, 2, 11)  # one sync for the header
    assert contents(spool) == [(n, n) for n in range(1, 12)]
    for n in range(12, 22):
        spool.append([n])
    assert (spool.counters["spilled"], memory.syncs) == (20, 3)
    assert contents(spool, (spool.epoch, 8)) == [(n, n) for n in range(9, 22)]


def test_numbers_go_on_where_ram_was_acknowledged():
    memory = Memory()
    spool = RamFirst(segments(memory), ram=2)
    for n in range(1, 4):
        spool.append([n])
    spool.ack((spool.epoch, 3))  # 1 and 2 are written, 3 never
    spool.append([4])
    spool.ack((spool.epoch, 4))
    spool.append([5])
    # whoever asks again for what it has acknowledged is told what is not there any more
    assert contents(spool) == [(1, 1), (2, 2), (4, Gap(3, 4, "trimmed")), (5, 5)]
    for n in range(6, 10):
        spool.append([n])
    assert contents(spool, spool.acked()) == [(n, n) for n in range(5, 10)]
    assert contents(spool)[:4] == [(1, 1), (2, 2), (4, Gap(3, 4, "trimmed")), (5, 5)]
    spool.close()
    again = segments(memory)
    assert contents(again, again.acked()) == [(n, n) for n in range(5, 10)]


def test_sync_and_close_bring_everything_to_the_medium():
    for finish in ("sync", "close"):
        memory = Memory()
        spool = RamFirst(segments(memory), ram=10)
        spool.append(["a"])
        spool.append(["b"])
        getattr(spool, finish)()
        assert contents(segments(memory)) == [(1, "a"), (2, "b")]
        assert spool.counters["refused"] == 0


def test_a_full_spool_refuses_and_nothing_taken_is_lost():
    for policy in ("drop_newest", "block"):
        inner = segments(max_bytes=2048, policy=policy)
        spool = RamFirst(inner, ram=3)
        taken = [n for n in range(200) if spool.append([n, "x" * 50])]
        assert 3 < len(taken) < 100 and taken == list(range(len(taken)))
        assert [x for _, x in contents(spool)] == taken
        assert spool.counters["refused"] == 200 - len(taken) and spool.counters["appended"] == len(taken)
        error = raises(OSError, spool.sync)
        assert error.args[0] == 28
        spool.ack(spool.read(None, 100)[-2][0])
        spool.trim()
        assert spool.append([200, "x"])
        spool.sync()
        assert [x for _, x in contents(spool, spool.acked())] == [taken[-1], 200]


def test_a_full_spool_drops_its_oldest_and_says_so():
    spool = RamFirst(segments(max_bytes=2048), ram=3)
    for n in range(1, 101):
        assert spool.append([n, "x" * 50])
    found = contents(spool)
    last, gap = found[0]
    assert isinstance(gap, Gap) and gap.first == 1 and gap.last == last and gap.reason == "full"
    assert found[1:] == [(n, n) for n in range(last + 1, 101)]
    assert spool.counters["dropped"] == last


def test_a_medium_that_fails_takes_nothing_and_loses_nothing():
    memory = Memory()
    spool = RamFirst(segments(memory), ram=2)
    spool.append(["a"])
    spool.append(["b"])
    memory.full = True
    raises(OSError, spool.append, ["c"])
    assert contents(spool) == [(1, "a"), (2, "b")]
    memory.full = False
    assert spool.append(["d"]) == (spool.epoch, 3)
    assert contents(spool) == [(1, "a"), (2, "b"), (3, "d")]


def test_a_record_that_is_too_long_is_refused_when_it_comes():
    spool = RamFirst(segments(), ram=2)
    raises(ValueError, spool.append, ["x" * 70000])
    for n in range(5):
        spool.append([n])
    assert spool.waiting() == 5


def test_random_appends_and_acks_against_a_list():
    x = SEED
    for ram in (1, 2, 5):
        memory = Memory()
        spool = RamFirst(segments(memory, max_bytes=1 << 16, segment_bytes=1024), ram)
        acked = seq = 0
        for step in range(400):
            x = (x * 1103515245 + 12345) & 0x3FFFFFFF
            what = (x >> 12) % 10
            if what < 6:
                seq += 1
                assert spool.append([seq, "x" * ((x >> 16) % 60)]) == (spool.epoch, seq)
            elif what < 9 and acked < seq:
                acked += 1 + (x >> 16) % (seq - acked)
                spool.ack((spool.epoch, acked))
                spool.trim()
            elif what == 9 and step % 3 == 0:
                spool.sync()
            assert contents(spool, spool.acked()) == [(n, n) for n in range(acked + 1, seq + 1)], (SEED, ram, step)
            assert spool.waiting() == seq - acked, (SEED, ram, step)
            assert spool.acked() == ((spool.epoch, acked) if acked else None)


# The operator


class Flow:
    def __init__(self, operator):
        self.clock = ManualClock()
        self.scheduler = Scheduler(self.clock)
        self.thing = OutputThing()
        self.thing.scheduler = self.scheduler
        self.operator = operator
        self.seen = []
        self.trouble = None  # what the sink raises
        self.sink = Recorder()
        self.sink.on_next = self.on_next

    def pipe(self, policy="stop"):
        return self.thing.pipe(self.operator).connect(self.sink, policy)

    def on_next(self, x):
        assert isinstance(x, SensorEvent)
        if self.trouble:
            raise self.trouble
        self.seen.append(x.val)

    def emit(self, *values):
        for val in values:
            self.thing._dispatch_next(SensorEvent("t", self.clock.wall(), val))

    def run(self, ms):
        until = self.clock.now() + ms
        while True:
            wake = self.scheduler.next_wake()
            if wake is None or wake > until:
                break
            self.clock.advance(max(0, wake - self.clock.now()))
            self.scheduler.run_due(self.clock.now())
        self.clock.advance(until - self.clock.now())


def test_readings_wait_while_the_sink_fails_and_come_in_order():
    for spool in (None, segments()):
        flow = Flow(outbox(spool, ram=5, random=ones))
        flow.pipe()
        flow.emit(1)
        flow.trouble = OSError(113)
        flow.emit(2, 3, 4)
        flow.run(10000)
        assert (flow.seen, flow.sink.end, flow.thing.errors) == ([1], None, 0)
        flow.trouble = None
        flow.emit(5)
        assert flow.seen == [1]
        flow.run(60000)
        assert flow.seen == [1, 2, 3, 4, 5]
        assert flow.operator.counters == {"refused": 0, "lost": 0, "gaps": 0, "failures": 4}
        assert flow.scheduler.next_wake() is None
        flow.emit(6)
        assert flow.seen[-1] == 6


def test_the_sink_is_left_alone_for_longer_and_longer():
    for random, pauses in ((ones, (1000, 2000, 4000, 5000, 5000)), (zeros, (500, 1000, 2000, 2500, 2500))):
        flow = Flow(outbox(cap_s=5, random=random))
        flow.pipe()
        flow.trouble = OSError(113)
        flow.emit(1)
        for pause in pauses:
            assert flow.scheduler.next_wake() == flow.clock.now() + pause
            flow.run(pause)
        flow.trouble = None
        flow.run(5000)
        flow.trouble = OSError(113)
        flow.emit(2)
        assert flow.scheduler.next_wake() == flow.clock.now() + pauses[0]


def test_flash_is_written_only_when_ram_is_full():
    memory = Memory()
    flow = Flow(outbox(segments(memory), ram=20, random=ones))
    flow.pipe()
    flow.emit(*range(100))
    flow.trouble = OSError(113)
    flow.emit(*range(100, 120))
    assert memory.files == {}
    flow.emit(120)
    assert memory.syncs == 2 and len(memory.files) == 1
    flow.trouble = None
    flow.run(1000)
    assert flow.seen == list(range(121))


def test_disconnecting_brings_what_waits_to_flash_for_the_next_run():
    memory = Memory()
    flow = Flow(outbox(segments(memory), ram=20, random=ones))
    end = flow.pipe()
    flow.emit(1)
    flow.trouble = OSError(113)
    flow.emit(2, 3)
    end()
    assert flow.scheduler.next_wake() is None
    later = Flow(outbox(segments(memory), random=ones))
    later.pipe()
    later.run(1)
    later.emit(4)
    # 1 was never written, 2 and 3 were
    assert later.seen == [2, 3, 4]


def test_without_a_spool_the_bound_and_its_policy():
    for policy, seen, counters in (("drop_oldest", [4, 5], ("gaps", 1)), ("drop_newest", [1, 2], ("refused", 3))):
        flow = Flow(outbox(ram=2, policy=policy, random=ones))
        flow.pipe()
        flow.trouble = OSError(113)
        flow.emit(1, 2, 3, 4, 5)
        flow.trouble = None
        flow.run(1000)
        assert flow.seen == seen
        assert flow.operator.counters[counters[0]] == counters[1], flow.operator.counters
    raises(ValueError, outbox, ram=0)
    raises(ValueError, outbox, s=0)


def test_a_medium_that_fails_is_counted_and_ends_nothing():
    memory = Memory()
    memory.full = True
    flow = Flow(outbox(segments(memory), ram=1, random=ones))
    flow.pipe()
    flow.trouble = OSError(113)
    flow.emit(1, 2)
    assert (flow.operator.counters["lost"], flow.sink.end) == (1, None)
    flow.trouble = None
    flow.run(1000)
    assert flow.seen == [1]


def test_the_end_of_either_kind_is_told_after_the_last_reading():
    for error in (None, ValueError("broken")):
        flow = Flow(outbox(random=ones))
        flow.pipe()
        flow.trouble = OSError(113)
        flow.emit(1, 2)
        flow.thing._dispatch_completed(error)
        flow.run(500)
        assert (flow.seen, flow.sink.end) == ([], None)
        flow.trouble = None
        flow.run(500)
        assert (flow.seen, flow.sink.end) == ([1, 2], error or "completed")
        assert flow.scheduler.next_wake() is None


def test_what_is_the_event_s_own_fault_is_for_the_policy_and_not_repeated():
    for policy, seen in (("skip", [3, 4]), ("stop", [])):
        flow = Flow(outbox(random=ones))
        flow.pipe(policy)
        flow.trouble = OSError(113)
        flow.emit(1, 2, 3)
        poison = flow.trouble = ValueError("poison")
        flow.run(1000)
        flow.run(1)
        flow.trouble = None
        flow.run(1000)
        flow.emit(4)
        assert flow.sink.end is (None if policy == "skip" else poison)
        assert flow.seen == seen, flow.seen
        assert flow.scheduler.next_wake() is None


def test_a_sink_that_causes_another_reading():
    flow = Flow(outbox())
    flow.pipe()
    flow.sink.on_next = lambda x: flow.seen.append(x.val) or (x.val < 3 and flow.emit(x.val + 1))
    flow.emit(0)
    assert flow.seen == [0, 1, 2, 3] and flow.thing.errors == 0
