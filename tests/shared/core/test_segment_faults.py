# heap: 1024k
# timeout: 60
"""The segment spool when a call fails in other ways than a write does: no memory, Ctrl-C, a disk full at sync."""

import gc
import os
import sys

from bourn.spool import Gap, segments
from bourn.spool.ram import RamFirst
from bourn.spool.segments import SegmentSpool
from bourn.testing import FaultyFiles
from bourn.testing.files import Files
from run import Skip

CPYTHON = sys.implementation.name == "cpython"


class Folder:
    """A folder for one spool, removed at the end."""

    def __enter__(self):
        root = "/dev/shm" if "shm" in os.listdir("/dev") else "/tmp"
        self.path = "%s/bourn-faults-%s" % (root, os.urandom(4).hex())
        os.mkdir(self.path)
        return self.path

    def __exit__(self, *_):
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)


def everything(spool, after=None):
    """What follows, as [(place, record or Gap), ...]."""
    entries = []
    page = spool.read(after, 5)
    while page:
        entries += page
        page = spool.read(page[-1][0], 5)
    return entries


class Failing(Files):
    """Raises `error` at the n-th call that reaches the medium, or so many from there: before it is done, or after."""

    def __init__(self, n, error, after, times=1):
        self.fails = range(n, n + times)
        self.error = error
        self.after = after
        self.calls = 0
        self.open_files = []

    def step(self, call, *arguments):
        self.calls += 1
        if self.calls in self.fails and not self.after:
            raise self.error
        result = call(*arguments)
        if self.calls in self.fails:
            raise self.error
        return result

    def open(self, path, mode):
        file = self.step(super().open, path, mode)
        self.open_files.append(file)
        return _File(self, file)

    def sync(self, file):
        self.step(super().sync, file.file)

    def sync_folder(self, path):
        self.step(super().sync_folder, path)

    def rename(self, old, new):
        self.step(super().rename, old, new)

    def remove(self, path):
        self.step(super().remove, path)

    def size(self, path):
        return self.step(super().size, path)


class _File:
    def __init__(self, files, file):
        self.files = files
        self.file = file
        self.read = file.read
        self.seek = file.seek

    def write(self, data):
        return self.files.step(self.file.write, data)

    def close(self):
        self.files.step(self.file.close)


def run(path, files, sync_each, appends=14):
    """Append and acknowledge; [(place, record), ...] of what was taken, and how often a call failed."""
    spool = SegmentSpool(path, files, 420, 110, sync_each=sync_each)
    taken = []
    failed = 0
    for i in range(appends):
        try:
            taken.append((spool.append(["s", i]), ["s", i]))
            if not sync_each and i % 3 == 2:
                spool.sync()
        except (OSError, MemoryError, KeyboardInterrupt):
            failed += 1
        check(spool, taken)
        if i == 5:
            spool.ack(taken[2][0])
    for _ in range(2):
        try:
            spool.close()
        except (OSError, MemoryError, KeyboardInterrupt):
            failed += 1
    for file in files.open_files:
        file.close()
    return spool, taken, failed


def check(spool, taken):
    """What is read is what was taken, under its number; at most the one whose append failed is there beside it."""
    known = dict(taken)
    entries = everything(spool, spool.acked())
    there = [place for place, what in entries if not isinstance(what, Gap)]
    last = spool.acked() or (spool.epoch, 0)
    for place, what in entries:
        first = place[1]
        if isinstance(what, Gap):
            first = what.first
            assert what.reason in ("full", "trimmed"), entries
        elif place in known:
            assert what == known[place], (place, what, known[place])
        # where not even a gap found room, it begins later
        assert place[0] == last[0] and (first == last[1] + 1 or spool.counters["forgotten"]), entries
        last = place
    gone = set()
    for place, what in entries:
        if isinstance(what, Gap):
            gone |= {(place[0], n) for n in range(what.first, what.last + 1)}
    acked = (spool.acked() or ("", 0))[1]
    if spool.counters["forgotten"]:
        return
    assert [place for place in known if place[1] > acked and place not in there and place not in gone] == []


def test_whatever_ends_a_call_no_number_comes_with_other_data_and_nothing_taken_is_lost():
    with Folder() as path:
        whole = Failing(0, None, False)
        run(path, whole, True)
    assert whole.calls > 50
    for error in (MemoryError, KeyboardInterrupt, OSError(5, "by the test"), OSError(28, "by the test")):
        for sync_each in (True, False):
            for n in range(1, whole.calls + 1, 2 if CPYTHON else 37):
                for after, times in ((False, 1), (True, 1), (False, 2), (False, 3)):
                    with Folder() as path:
                        try:
                            files = Failing(n, error, after, times)
                            try:
                                spool, taken, _ = run(path, files, sync_each)
                                forgotten = spool.counters["forgotten"]
                            except (OSError, MemoryError, KeyboardInterrupt):
                                continue  # from a read, or while it opened
                            again = SegmentSpool(path, max_bytes=420, segment_bytes=110)
                            known = dict(taken)
                            for place, what in everything(again, taken[2][0]):
                                if place in known and not isinstance(what, Gap):
                                    assert known[place] == what, (place, what, known[place])
                            if not forgotten:
                                check_again(again, taken)
                        except AssertionError:
                            print(
                                "error", repr(error), "sync_each", sync_each, "call", n, "after", after, "times", times
                            )
                            raise
                        finally:
                            for file in files.open_files:
                                file.close()


def check_again(again, taken):
    """After another open everything is there that was taken and is neither acknowledged nor dropped."""
    covered = set()
    for place, what in everything(again):
        first = what.first if isinstance(what, Gap) else place[1]
        covered |= {(place[0], n) for n in range(first, place[1] + 1)}
    assert [place for place, _ in taken[3:] if place not in covered] == []


def test_a_sync_covers_what_was_taken_before_a_write_failed():
    for policy in ("drop_newest", "block", "drop_oldest"):
        with Folder() as path:
            files = FaultyFiles(lose_unsynced=True)
            spool = SegmentSpool(path, files, policy=policy, sync_each=False)
            taken = [(spool.append([i]), [i]) for i in range(3)]
            files.full_after = files.writes + 1
            try:
                assert spool.append([9]) is None
            except OSError as e:  # there was nothing to drop
                assert policy == "drop_oldest" and e.args[0] == 28
            files.full_after = None
            if policy == "drop_oldest":  # it made room of them
                taken = [(spool.append([i]), [i]) for i in range(3)]
            spool.sync()
            files.cut()
            assert everything(SegmentSpool(path))[-3:] == taken, policy


class Small(Files):
    """A medium of `room` bytes that are taken when they are synced, as littlefs does it for a short file."""

    def __init__(self, path, room):
        self.path = path
        self.room = room

    def sync(self, file):
        if sum([super(Small, self).size(self.path + "/" + name) for name in os.listdir(self.path)]) > self.room:
            raise OSError(28, "no space left (by the test)")
        super().sync(file)


def test_a_disk_that_says_only_at_sync_that_it_is_full_costs_the_oldest():
    for sync_each in (True, False):
        with Folder() as path:
            spool = SegmentSpool(path, Small(path, 1500), 6000, 300, sync_each=sync_each)
            failed = 0
            for i in range(300):
                try:
                    spool.append(["s1", 1000, i])
                    spool.sync()
                except OSError as e:
                    assert e.args[0] == 28
                    failed += 1
            numbers = [what[2] for _, what in everything(spool) if not isinstance(what, Gap)]
            assert spool.counters["dropped"] > 100 and failed < 20, (sync_each, failed, spool.counters)
            assert len(numbers) > 15 and numbers[-1] >= 299 - failed, (numbers, failed)


def test_a_file_that_fails_to_close_is_not_written_again():
    with Folder() as path:
        spool = SegmentSpool(path, Files(), 2000, 120)
        taken = [(spool.append([i]), [i]) for i in range(3)]
        real = spool._active

        class Closing:
            write = real.write

            def fileno(self):
                return real.fileno()

            def flush(self):
                real.flush()

            def close(self):
                real.close()
                raise OSError(5, "by the test")

        spool._active = Closing()
        failed = 0
        for i in range(3, 30):
            try:
                taken.append((spool.append([i]), [i]))
            except OSError:
                failed += 1
        assert failed == 1 and everything(spool) == taken
        spool.close()


def test_a_drop_that_fails_is_not_counted():
    for k in range(1, 9):
        with Folder() as path:
            files = Failing(0, OSError(5, "by the test"), False)
            spool = SegmentSpool(path, files, 420, 110)
            taken = 0
            for i in range(60):
                files.fails = () if i % 7 else (files.calls + k,)  # the k-th call from here
                try:
                    spool.append(["s", i])
                    taken += 1
                except OSError:
                    files.fails = ()
            gaps = [what for _, what in everything(spool) if isinstance(what, Gap)]
            assert spool.counters["dropped"] == sum([gap.last + 1 - gap.first for gap in gaps]) > 20, (k, gaps)
            assert spool.waiting() == taken - spool.counters["dropped"] == spool.seq - spool.counters["dropped"]
            spool.close()


def test_gaps_of_short_epochs_do_not_take_the_room_of_readings():
    """A board that restarts for every reading, as after a deep sleep, and is offline for long."""
    with Folder() as path:
        for n in range(400):
            spool = SegmentSpool(path, max_bytes=4096)
            spool.append(("greenhouse", 1800000000000 + n, n))
            assert spool.size() <= 4096
            spool.close()
        left = [what[2] for _, what in everything(SegmentSpool(path, max_bytes=4096)) if not isinstance(what, Gap)]
        assert left == list(range(400 - len(left), 400)) and len(left) > 35, left


def test_numbers_stay_right_where_the_memory_fails_after_a_record_was_taken():
    with Folder() as path:
        inner = SegmentSpool(path, sync_each=False)
        spool = RamFirst(inner, ram=3)
        append = inner.append
        calls = []

        def failing(record):
            place = append(record)
            calls.append(place)
            if len(calls) == 2:
                raise MemoryError
            return place

        inner.append = failing
        for i in range(1, 12):
            try:
                assert spool.append([i]) == (spool.epoch, i)
            except MemoryError:
                assert i == 4 and spool.append([i]) == (spool.epoch, i)
        assert everything(spool) == [((spool.epoch, i), [i]) for i in range(1, 12)]
        spool.close()
        assert everything(SegmentSpool(path)) == [((spool.epoch, i), [i]) for i in range(1, 12)]


def test_what_waits_is_counted_behind_the_ack_wherever_it_is():
    with Folder() as path:
        places = []
        for n in range(4):
            spool = SegmentSpool(path, segment_bytes=100, max_bytes=20000)
            places += [spool.append([n, i]) for i in range(7)]
            spool.close()
        spool = SegmentSpool(path, segment_bytes=100, max_bytes=20000)
        assert spool.waiting() == 28
        for i, place in enumerate(places):
            spool.ack(place)
            assert spool.waiting() == 27 - i
        spool.ack((spool.epoch, 0))
        assert spool.waiting() == 0


def test_what_is_read_at_once_is_bounded_by_bytes():
    most = segments.PIECE_BYTES
    with Folder() as path:
        spool = SegmentSpool(path, max_bytes=1 << 16)
        taken = [(spool.append([i, "x" * 50]), [i, "x" * 50]) for i in range(40)]
        taken += [(spool.append([i, "x" * 1500]), [i, "x" * 1500]) for i in range(10)]
        try:
            segments.PIECE_BYTES = 2000
            after = None
            found = []
            while len(found) < 50:
                page = spool.read(after, 500)
                length = sum([len(what[1]) for _, what in page])
                assert 0 < length <= 2 * 2000 + 1500, length
                found += page
                after = page[-1][0]
        finally:
            segments.PIECE_BYTES = most
        assert found == taken and len(spool.read(None, 7)) == 7


def starve(bytes_left):
    """Take all memory in pieces of 64 bytes, but for so much; what holds it."""
    gc.collect()
    held = [None] * 4000
    size = 2048
    n = 0
    while size:
        try:
            held[n] = bytearray(size)
            n += 1
        except MemoryError:
            size = 32 if size > 32 else 0
    for i in range(n - 1, n - 1 - bytes_left // 48, -1):
        held[i] = None
    return held


def test_the_memory_ends_anywhere():
    if not hasattr(gc, "mem_free"):
        raise Skip("CPython's memory does not end so soon")
    for kind in range(3):
        troubles = 0
        for bytes_left in range(0, 2600, 144 if sys.maxsize > 1 << 32 else 480):
            with Folder() as path:
                spool = SegmentSpool(path, max_bytes=4000, segment_bytes=200, sync_each=not kind)
                if kind == 2:
                    spool = RamFirst(spool, 4)
                taken = [(spool.append(["s", i]), ["s", i]) for i in range(9)]
                records = [["s", i] for i in range(9, 18)]
                places = [None] * len(records)  # there is memory for it now
                after = taken[0][0]
                held = starve(bytes_left)
                for i, record in enumerate(records):
                    place = None
                    try:
                        place = spool.append(record)
                        if i % 3 == 1:
                            spool.sync()
                        spool.read(after, 3)
                        spool.ack(after)
                        spool.trim()
                    except MemoryError:
                        troubles += 1
                    places[i] = place
                del held
                gc.collect()
                last = spool.append(["s", 99])
                entries = everything(spool, after)
                numbers = [place[1] for place, _ in entries]
                assert numbers == list(range(2, last[1] + 1)), (kind, bytes_left, numbers)
                values = [what[1] for _, what in entries]
                assert values == sorted(values) and len(set(values)) == len(values), (kind, bytes_left, values)
                for place, record in zip(places, records):
                    assert place is None or (place, record) in entries, (kind, bytes_left, place, record)
                spool.close()
                assert everything(SegmentSpool(path), after) == entries, (kind, bytes_left)
        assert troubles > 10, (kind, troubles)


class GivesUp(Small):
    """What was not synced is gone from a file to which a write has failed, as on the littlefs of MicroPython 1.25."""

    synced = 0
    fails = False

    def open(self, path, mode):
        return GivingUp(self, path, super().open(path, mode)) if mode == "wb" else super().open(path, mode)

    def sync(self, file):
        self.synced = self.size(file.path)


class GivingUp:
    def __init__(self, files, path, file):
        self.files = files
        self.path = path
        self.file = file
        self.close = file.close

    def write(self, data):
        if not self.files.fails:
            return self.file.write(data)
        self.files.fails = False
        with open(self.path, "rb") as file:
            kept = file.read(self.files.synced)
        with open(self.path, "wb") as file:
            file.write(kept)
        raise OSError(28, "no space left (by the test)")


def test_what_the_flash_gives_up_after_a_failed_write_is_written_again():
    for fail in range(1, 12):
        with Folder() as path:
            files = GivesUp(path, 0)
            inner = SegmentSpool(path, files, 4000, 500, policy="block", sync_each=False)
            spool = RamFirst(inner, 6)
            taken = []
            append = inner.append
            calls = []

            def counted(record, files=files, calls=calls, append=append, fail=fail):
                calls.append(record)
                files.fails = len(calls) == fail
                return append(record)

            inner.append = counted
            for i in range(20):
                taken.append((spool.append([i]) or spool.append([i]), [i]))
                assert taken[-1][0] == (spool.epoch, i + 1)
            spool.sync()
            assert len(calls) > 18
            for one in (spool, SegmentSpool(path)):
                assert everything(one) == taken, (fail, everything(one))
            assert spool.counters["dropped"] == 0
            spool.close()


def test_what_has_no_room_at_a_sync_is_said_and_can_be_tried_again():
    with Folder() as path:
        files = Small(path, 10000)
        spool = SegmentSpool(path, files, policy="block", sync_each=False)
        taken = [(spool.append([i]), [i]) for i in range(4)]
        files.room = 10
        for _ in range(2):
            try:
                spool.sync()
                raise AssertionError("it said that all was there")
            except OSError as e:
                assert e.args[0] == 28
        assert everything(spool) == taken
        files.room = 10000
        spool.sync()
        assert everything(SegmentSpool(path)) == taken
        spool.close()
