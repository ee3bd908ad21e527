# heap: 1024k
# timeout: 120
"""The segment spool: the contract, its bounds, and every way in which a disk can fail it."""

import os
import sys
from binascii import crc32

import spool_contract

from bourn.spool import POLICIES, Gap
from bourn.spool.follower import Follower
from bourn.spool.segment_file import Segment
from bourn.spool.segments import SegmentSpool
from bourn.testing import FaultyFiles, PowerCut

HEADER = 24
RECORD = 9  # bytes beside the JSON
CPYTHON = sys.implementation.name == "cpython"
MEMORY = "/dev/shm"  # thousands of small files: where there is a file system in memory, no disk has to turn


# Folders


class Folder:
    """A folder for one spool, removed at the end."""

    count = 0

    def __init__(self):
        Folder.count += 1
        root = MEMORY if "shm" in os.listdir("/dev") else ".tools"
        self.path = "%s/bourn-%s-%d" % (root, os.urandom(4).hex(), Folder.count)
        os.mkdir(self.path)
        self.files = []  # those that were opened here

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for files in self.files:
            for file in files._open:
                file.close()
        self.clear()
        os.rmdir(self.path)

    def clear(self):
        """Remove what is in it."""
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)

    def names(self, end=".seg"):
        return sorted([name for name in os.listdir(self.path) if name.endswith(end)])

    def read(self, name):
        with open(self.path + "/" + name, "rb") as file:
            return file.read()

    def write(self, name, data):
        with open(self.path + "/" + name, "wb") as file:
            file.write(data)


class Epochs:
    """Random bytes for epochs whose order is the reverse of their age: it must not matter."""

    def __init__(self):
        self.n = 0x10000

    def __call__(self, n):
        self.n -= 1
        return self.n.to_bytes(n, "big")


def spool_at(folder, files=None, **options):
    folder.files = [one for one in folder.files if one._open] + [files or FaultyFiles()]
    return SegmentSpool(folder.path, files=folder.files[-1], **options)


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as e:
        return e
    raise AssertionError("no %s" % kind.__name__)


# What is in a spool


def record(i):
    """About as long for every i up to 999."""
    return ["s1", 1000 + i, "%03d" % i]


def everything(spool, after=None, limit=5):
    entries = []
    while True:
        page = spool.read(after, limit)
        assert len(page) <= limit
        if not page:
            return entries
        entries += page
        after = page[-1][0]


def data_of(entries):
    return [entry for entry in entries if not isinstance(entry[1], Gap)]


def gaps_of(entries):
    return [entry[1] for entry in entries if isinstance(entry[1], Gap)]


def check_cover(entries):
    """Within an epoch data and gaps follow each other without a hole or an overlap, and no epoch comes twice."""
    seen = {}
    last_epoch = None
    for (epoch, last), what in entries:
        first = last
        if isinstance(what, Gap):
            first = what.first
            assert first <= what.last == last, entries
        if epoch in seen:
            assert epoch == last_epoch and first == seen[epoch] + 1, entries
        seen[epoch] = last
        last_epoch = epoch


def check_data(entries, accepted):
    """Every entry of data is one that was accepted, unchanged, once and in order."""
    order = {}
    for i, (place, what) in enumerate(accepted):
        order[place] = (i, what)
    before = -1
    for place, what in data_of(entries):
        assert place in order, (place, what)
        i, expected = order[place]
        assert what == expected and i > before, (place, what, expected)
        before = i


def lost(entries):
    """The places that gaps stand for."""
    return [(place[0], n) for place, what in entries if isinstance(what, Gap) for n in range(what.first, what.last + 1)]


# The contract


class Home:
    cursors = ("",)
    never = (["s1", 0, "x" * 2100],)

    def __init__(self, **options):
        self.folder = Folder()
        self.options = options

    def open(self):
        self.files = FaultyFiles(lose_unsynced=True)
        return spool_at(self.folder, self.files, max_bytes=4096, segment_bytes=160, **self.options)

    def crash(self, spool):
        self.files.cut()

    def record(self, i):
        return record(i)

    def number(self, entry):
        return int(entry[1][2])


def keeps_the_contract(**options):
    for check in spool_contract.CHECKS:
        homes = []

        def make():
            homes.append(Home(**options))
            return homes[-1]

        check(make)
        for home in homes:
            home.folder.__exit__()


def test_keeps_the_contract():
    keeps_the_contract()


def test_keeps_the_contract_when_the_caller_syncs():
    keeps_the_contract(sync_each=False)


# Epochs


def test_every_open_is_a_new_epoch_that_counts_from_one():
    with Folder() as folder:
        accepted = []
        for n in range(4):
            spool = spool_at(folder)
            assert len(spool.epoch) == 16 and [c for c in spool.epoch if c not in "0123456789abcdef"] == []
            for i in range(3):
                place = spool.append(record(10 * n + i))
                assert place == (spool.epoch, i + 1) and spool.seq == i + 1
                accepted.append((place, record(10 * n + i)))
            assert spool.waiting() == 3 * (n + 1)
            spool.close()
        assert len({place[0] for place, _ in accepted}) == 4
        assert everything(spool_at(folder)) == accepted


def test_older_epochs_are_read_first_whatever_they_are_called():
    epochs = Epochs()
    with Folder() as folder:
        accepted = []
        for n in range(5):
            spool = spool_at(folder, segment_bytes=120, random=epochs)
            for i in range(7):
                accepted.append((spool.append(record(10 * n + i)), record(10 * n + i)))
            spool.close()
        spool = spool_at(folder, random=epochs)
        for limit in (1, 3, 100):
            assert everything(spool, None, limit) == accepted
        for i, (place, _) in enumerate(accepted):
            assert everything(spool, place, 4) == accepted[i + 1 :]
            for j in range(i % 3, len(accepted), 3):  # from anywhere to anywhere
                spool.read(place, 1)
                assert spool.read(accepted[j][0], 1) == accepted[j + 1 : j + 2]


def test_acks_over_epochs():
    epochs = Epochs()
    with Folder() as folder:
        accepted = []
        for n in range(3):
            spool = spool_at(folder, segment_bytes=120, random=epochs)
            accepted += [(spool.append(record(i)), record(i)) for i in range(10 * n, 10 * n + 6)]
            spool.close()
        spool = spool_at(folder, segment_bytes=120, random=epochs)
        new = spool.append(record(100))
        assert spool.waiting() == 19
        spool.ack(accepted[7][0])  # the second of the second epoch
        assert spool.waiting() == 11
        for older in (accepted[2][0], accepted[5][0], accepted[6][0], ("f" * 16, 99)):
            spool.ack(older)
            assert spool.acked() == accepted[7][0], "an older epoch, or one that nobody knows"
        assert spool.trim() == 6
        assert [place for place, _ in everything(spool, spool.acked())] == [p for p, _ in accepted[8:]] + [new]
        spool.close()
        spool = spool_at(folder, segment_bytes=120, random=epochs)
        assert spool.acked() == accepted[7][0] and spool.waiting() == 11
        spool.ack(new)
        assert (spool.waiting(), spool.acked()) == (0, new)
        spool.ack(accepted[7][0])
        assert spool.acked() == new
        spool.trim()
        spool.close()
        assert folder.names("") == []  # nothing is left that anyone could want


def test_a_reader_of_an_epoch_that_is_gone_goes_on_with_the_next():
    epochs = Epochs()
    with Folder() as folder:
        spool = spool_at(folder, random=epochs)
        first = spool.append(record(1))
        spool.close()
        spool = spool_at(folder, random=epochs)
        second = spool.append(record(2))
        spool.ack(first)
        assert spool.trim() == 1
        assert everything(spool, first) == [(second, record(2))]
        assert everything(spool, (spool.epoch, 0)) == [(second, record(2))]


def test_a_reader_of_an_epoch_without_files_yet_is_not_sent_back():
    with Folder() as folder:
        spool = spool_at(folder)
        spool.append(record(1))
        spool.close()
        spool = spool_at(folder)
        assert spool.read((spool.epoch, 0), 10) == []
        place = spool.append(record(2))
        assert spool.read((spool.epoch, 0), 10) == [(place, record(2))]


def test_one_reader_only():
    with Folder() as folder:
        spool = spool_at(folder)
        place = spool.append(record(1))
        raises(ValueError, spool.ack, place, "other")
        assert spool.acked() is None


# Files


def test_files_roll_and_hold_no_more_than_they_should():
    with Folder() as folder:
        spool = spool_at(folder, segment_bytes=150, max_bytes=10000)
        accepted = [(spool.append(record(i)), record(i)) for i in range(50)]
        sizes = [len(folder.read(name)) for name in folder.names()]
        assert spool.size() == sum(sizes) and max(sizes) <= 150
        length = RECORD + len(b'["s1", 1000, "000"]')
        assert len(sizes) == -(-50 // ((150 - HEADER) // length))
        assert [size for size in sizes[:-1] if size + length <= 150] == []  # each is as full as it can be
        assert everything(spool) == accepted
        spool.close()
        assert everything(spool_at(folder)) == accepted


def test_names_of_files_grow():
    with Folder() as folder:
        names = []
        for _ in range(3):
            spool = spool_at(folder, segment_bytes=100)
            for i in range(6):
                place = spool.append(record(i))
                if i == 2:
                    spool.ack(place)
                    spool.trim()
            new = sorted(set(folder.names()) - set(names))
            assert not names or new[0] > names[-1]
            names += new
            spool.close()


def test_records_of_any_length():
    with Folder() as folder:
        lengths = [0, 1, 90, 91, 92, 2030, 2031, 2032, 2047, 2048, 2049, 5000, 3, 9000, 7]
        spool = spool_at(folder, segment_bytes=4000, max_bytes=40000)
        accepted = [(spool.append(["s1", 0, "x" * n]), ["s1", 0, "x" * n]) for n in lengths]
        for reopened in (False, True):
            if reopened:
                spool.close()
                spool = spool_at(folder)
            for limit in (1, 4, 100):
                assert everything(spool, None, limit) == accepted
            for i in range(len(accepted)):
                found = spool.read(accepted[i][0], 2)  # fewer, where they are long
                assert found == accepted[i + 1 : i + 1 + len(found)] and (found or i + 1 == len(accepted))


def test_blocks_end_anywhere():
    # the reading window is 2048 bytes: let its end fall on every byte of a record
    for shift in range(0, 32, 1 if CPYTHON else 3):
        with Folder() as folder:
            spool = spool_at(folder, segment_bytes=8000, max_bytes=20000)
            accepted = []
            for what in [["s1", 0, "x" * (1900 + shift)]] + [record(i) for i in range(12)]:
                accepted.append((spool.append(what), what))
            assert everything(spool, None, 100) == accepted


def test_values_come_back_as_they_were():
    with Folder() as folder:
        spool = spool_at(folder)
        values = (None, True, -1, 1 << 62, 0.1, -1e300, 'ä € \U0001f321 " \\ \n \0', [], [[1], {"k": [None]}])
        for val in values:
            spool.append(("s 1", 1700000000000, val))
        spool.close()
        assert [what for _, what in everything(spool_at(folder))] == [["s 1", 1700000000000, val] for val in values]


def test_what_is_wrong_with_the_arguments_is_told():
    with Folder() as folder:
        raises(ValueError, lambda: spool_at(folder, policy="drop"))
        raises(ValueError, lambda: spool_at(folder, max_bytes=1000, segment_bytes=501))
        assert folder.names("") == []


# Bounds


def bounded(folder, policy, **options):
    return spool_at(folder, policy=policy, max_bytes=600, segment_bytes=150, **options)


def test_drop_oldest_leaves_gaps_and_counts():
    with Folder() as folder:
        spool = bounded(folder, "drop_oldest")
        accepted = []
        for i in range(1, 101):
            accepted.append((spool.append(record(i)), record(i)))
            assert spool.size() <= 600
            assert spool.size() == sum([len(folder.read(name)) for name in folder.names("")])
            entries = everything(spool)
            check_cover(entries)
            check_data(entries, accepted)
            assert len(data_of(entries)) + len(lost(entries)) == i
            assert spool.counters["dropped"] == len(lost(entries)) == i - spool.waiting()
            assert len(gaps_of(entries)) <= 1  # neighbours become one
        assert entries[0][1] == Gap(1, spool.counters["dropped"], "full")
        assert len(gaps_of(spool.read(None, 1))) == 1 and spool.trim() == 0
        assert len(data_of(entries)) >= 10
        assert (spool.counters["appended"], spool.counters["refused"]) == (100, 0)
        spool.close()
        again = bounded(folder, "drop_oldest")
        assert everything(again) == entries
        assert again.waiting() == len(data_of(entries))
        again.ack(again.append(record(101)))
        left = len(data_of(everything(again))) - 1
        assert again.trim() == left > 5  # a Gap is no record
        again.close()


def test_drop_newest_and_block_refuse_and_give_no_number():
    for policy in ("drop_newest", "block"):
        with Folder() as folder:
            spool = bounded(folder, policy)
            accepted = []
            for i in range(100):
                place = spool.append(record(i))
                if place:
                    accepted.append((place, record(i)))
                assert spool.size() <= 600
            n = len(accepted)
            assert 10 <= n < 30 and everything(spool) == accepted
            assert (spool.counters["appended"], spool.counters["refused"], spool.counters["dropped"]) == (n, 100 - n, 0)
            assert spool.seq == n and accepted[-1][0] == (spool.epoch, n)
            spool.ack(accepted[n // 2][0])
            place = spool.append(record(200))  # it trims by itself
            assert place == (spool.epoch, n + 1)
            assert everything(spool, accepted[n // 2][0]) == accepted[n // 2 + 1 :] + [(place, record(200))]
            spool.close()
            assert bounded(folder, policy).append(record(300))


def test_what_was_acknowledged_is_neither_dropped_nor_counted():
    with Folder() as folder:
        spool = bounded(folder, "drop_oldest")
        places = [spool.append(record(i)) for i in range(1, 10)]
        spool.ack(places[4])  # in the middle of a file
        while not spool.counters["dropped"]:
            places.append(spool.append(record(0)))
        entries = everything(spool, places[4])
        check_cover(entries)
        gap = entries[0][1]
        assert gap.first == 6 and gap.reason == "full"
        assert spool.counters["dropped"] == gap.last - 5
        assert spool.waiting() == len(places) - gap.last


def test_a_reader_that_was_in_the_middle_of_what_is_dropped():
    with Folder() as folder:
        spool = bounded(folder, "drop_oldest")
        for i in range(1, 13):
            spool.append(record(i))
        follower = Follower(spool)
        follower.sent(follower.read(2)[-1][0], 2)
        while not spool.counters["dropped"]:
            spool.append(record(0))
        (place, gap), (after, _) = follower.read(2)
        assert (gap.first, gap.reason) == (3, "full")
        assert place == (spool.epoch, gap.last) and after == (spool.epoch, gap.last + 1)
        follower.sent(place, 0)
        assert follower.read(1)[0][0] == after


def test_gaps_survive_reopening_and_grow_together():
    with Folder() as folder:
        accepted = []
        dropped = 0
        for n in range(4):
            spool = bounded(folder, "drop_oldest", random=Epochs() if n == 0 else os.urandom)
            for i in range(14):
                accepted.append((spool.append(record(i)), record(i)))
            dropped += spool.counters["dropped"]
            entries = everything(spool)
            check_cover(entries)
            check_data(entries, accepted)
            assert len(data_of(entries)) + len(lost(entries)) == len(accepted)
            assert dropped == len(lost(entries))
            assert len(gaps_of(entries)) <= n + 1
            spool.close()
        assert dropped > 20


def test_gaps_of_former_epochs_are_forgotten_last_of_all_and_counted():
    with Folder() as folder:
        forgotten = 0
        for _ in range(20):
            spool = spool_at(folder, max_bytes=260, segment_bytes=120)
            places = [spool.append(record(i)) for i in range(12)]
            assert None not in places
            entries = everything(spool)
            check_cover(entries)
            assert data_of(entries)[-1] == (places[-1], record(11))
            assert spool.size() <= 260
            forgotten += spool.counters["forgotten"]
            spool.close()
        assert forgotten >= 15


def test_a_record_that_would_cost_all_others_is_refused():
    with Folder() as folder:
        for policy in POLICIES:
            spool = bounded(folder, policy)
            accepted = [(spool.append(record(i)), record(i)) for i in range(4)]
            before = everything(spool)
            raises(ValueError, spool.append, ["s1", 0, "x" * 300])
            raises(ValueError, spool.append, ["s1", 0, "x" * 5000])
            assert everything(spool) == before
            big = ["s1", 0, "x" * 280]
            accepted.append((spool.append(big), big))
            check_data(everything(spool), accepted)
            assert everything(spool)[-1] == accepted[-1]
            spool.close()
            folder.clear()


def test_an_empty_file_is_never_dropped_as_a_gap_of_nothing():
    with Folder() as folder:
        files = FaultyFiles()
        spool = bounded(folder, "drop_oldest", files=files)
        files.cut_after = files.steps + 5  # the file is made, the first record is not
        raises(PowerCut, spool.append, record(0))
        assert len(folder.names()) == 1
        spool = bounded(folder, "drop_oldest")
        for i in range(40):
            spool.append(record(i))
            check_cover(everything(spool))
        assert len(gaps_of(everything(spool))) == 1


# Damage


def flip(data, at, bits):
    return data[:at] + bytes((data[at] ^ bits,)) + data[at + 1 :]


def two_epochs(folder):
    """Two epochs, rolled files, one gap, an ack in the middle; what was accepted, and what is read."""
    accepted = []
    for n in range(2):
        spool = spool_at(folder, max_bytes=480, segment_bytes=130)
        for i in range(9):
            accepted.append((spool.append(record(10 * n + i)), record(10 * n + i)))
        if n == 1:
            spool.ack(accepted[7][0])
        spool.close()
    assert spool.counters["dropped"] and "acked" in folder.names("")
    return accepted, everything(spool_at(folder))


def check_damaged(folder, accepted, name):
    spool = spool_at(folder, max_bytes=480, segment_bytes=130)
    entries = everything(spool)
    check_cover(entries)
    check_data(entries, accepted)
    # what the reader has not acknowledged is there or in a gap, as far as the files before and after it tell
    place = spool.append(record(500))
    assert everything(spool)[-1] == (place, record(500)), name
    check_cover(everything(spool))
    assert not spool.acked() or spool.acked() == accepted[7][0]
    spool.close()
    return entries


def test_a_changed_byte_never_gives_wrong_data():
    with Folder() as folder:
        accepted, whole = two_epochs(folder)
        files = [(name, folder.read(name)) for name in folder.names("")]
        holes = torn = 0
        for name, data in files:
            for at in range(0, len(data), 1 if CPYTHON else 5):
                for bits in (1, 0x80, 0xFF) if CPYTHON or name == "acked" else (0xFF,):
                    folder.clear()
                    for other, content in files:
                        folder.write(other, flip(content, at, bits) if other == name else content)
                    entries = check_damaged(folder, accepted, name)
                    assert len(data_of(entries)) >= len(data_of(whole)) - 4, (name, at)
                    if "corrupt" in [gap.reason for gap in gaps_of(entries)]:
                        holes += 1
                    elif len(entries) < len(whole):
                        torn += 1
        assert holes > 20 and torn > 20


def test_a_file_that_ends_anywhere():
    with Folder() as folder:
        accepted, whole = two_epochs(folder)
        files = [(name, folder.read(name)) for name in folder.names("")]
        for name, data in files:
            for end in range(0, len(data), 1 if CPYTHON else 7):
                folder.clear()
                for other, content in files:
                    folder.write(other, content[:end] if other == name else content)
                entries = check_damaged(folder, accepted, name)
                assert len(data_of(entries)) >= len(data_of(whole)) - 4, (name, end)


def test_a_torn_end_is_counted():
    with Folder() as folder:
        spool = spool_at(folder)
        spool.append(record(1))
        spool.append(record(2))
        spool.close()
        name = folder.names()[0]
        data = folder.read(name)
        for end, torn, left in ((len(data), 0, 2), (len(data) - 1, 1, 1), (HEADER + 28, 0, 1), (HEADER + 3, 1, 0)):
            folder.clear()
            folder.write(name, data[:end])
            spool = spool_at(folder)
            assert (spool.counters["torn"], len(everything(spool))) == (torn, left), end
        folder.write(name, data[: HEADER - 1])
        assert spool_at(folder).counters["torn"] == 1 and folder.names() == []


def test_a_stale_block_of_another_epoch_is_no_data():
    with Folder() as folder:
        names = []
        for n in range(2):
            spool = spool_at(folder)
            for i in range(5):
                spool.append(record(10 * n + i))
            spool.close()
            names = folder.names()
        old, new = folder.read(names[0]), folder.read(names[1])
        folder.write(names[1], new[: HEADER + 2 * 28] + old[HEADER + 2 * 28 :])
        entries = everything(spool_at(folder))
        assert [what[2] for _, what in data_of(entries)] == ["000", "001", "002", "003", "004", "010", "011"]


def test_a_damaged_end_while_it_is_open_never_shifts_the_numbers():
    with Folder() as folder:
        spool = spool_at(folder)
        accepted = [(spool.append(record(i)), record(i)) for i in range(1, 6)]
        name = folder.names()[0]
        good = folder.read(name)
        folder.write(name, flip(good, HEADER + 2 * 28 + 12, 0xFF))  # the third record
        entries = everything(spool)
        assert data_of(entries) == accepted[:2] and gaps_of(entries) == [Gap(3, 5, "corrupt")]
        assert everything(spool) == entries and spool.counters["dropped"] == 3
        assert spool_at(folder, segment_bytes=120).read((spool.epoch, 4), 9) == []  # nobody knows of the fifth
        folder.write("00000002.seg", Segment("", spool.epoch, 6).header())
        again = spool_at(folder)
        assert gaps_of(everything(again, (spool.epoch, 4))) == [Gap(5, 5, "corrupt")]
        assert again.counters["dropped"] == 1 and gaps_of(everything(again)) == [Gap(3, 5, "corrupt")]
        folder.write(name, good)  # it was the cable
        spool = spool_at(folder)
        del accepted[5:]
        check_data(everything(spool, entries[-1][0]), accepted)


def test_an_unreadable_record_in_the_file_being_written():
    with Folder() as folder:
        spool = spool_at(folder)
        accepted = [(spool.append(record(i)), record(i)) for i in range(1, 4)]
        name = folder.names()[0]
        good = folder.read(name)
        folder.write(name, flip(good, HEADER + 28 + 12, 0xFF))
        _, entry = everything(spool)
        assert entry[1] == Gap(2, 3, "corrupt")
        folder.write(name, good)
        accepted.append((spool.append(record(4)), record(4)))
        # the spool's file was replaced under it; whatever it can read has its own number
        check_data(everything(spool, entry[0]), accepted)
        check_data(everything(spool), accepted)


def test_a_sound_record_that_is_no_json():
    with Folder() as folder:
        spool = spool_at(folder)
        spool.append(record(1))
        segment = spool._segments[-1]
        bad = segment.record(68, b"[1, T(a=1)]")  # a board's json writes what is none
        spool._active.write(bad)
        spool.seq += 1
        segment.next += 1
        segment.size += len(bad)
        last = spool.append(record(3))
        for again in (False, True):
            if again:
                spool.close()
                epoch = spool.epoch
                spool = spool_at(folder)
            else:
                epoch = spool.epoch
            entries = everything(spool)
            assert gaps_of(entries) == [Gap(2, 2, "corrupt")] and entries[1][0] == (epoch, 2)
            assert entries[2] == (last, record(3))


def test_a_length_that_cannot_be_costs_no_memory():
    class Counting(FaultyFiles):
        longest = 0

        def open(self, path, mode):
            file = super().open(path, mode)
            read = file.read

            def counted(n=-1):
                Counting.longest = max(Counting.longest, n)
                assert n >= 0
                return read(n)

            file.read = counted
            return file

    with Folder() as folder:
        spool = spool_at(folder)
        for i in range(3):
            spool.append(record(i))
        spool.close()
        name = folder.names()[0]
        data = folder.read(name)
        folder.write(name, data[:HEADER] + b"\x00\x00\xfe\x00" + data[HEADER + 4 :])
        spool = spool_at(folder, Counting())
        assert everything(spool) == []
        assert 0 < Counting.longest <= 2048


def test_a_note_of_acks_that_is_none_is_not_believed():
    with Folder() as folder:
        spool = spool_at(folder)
        accepted = [(spool.append(record(i)), record(i)) for i in range(3)]
        spool.ack(accepted[1][0])
        spool.close()
        assert spool_at(folder).acked() == accepted[1][0]
        for data in (b"", b"5", b"null", b"[]", b'["e"]', b"[1,2,3]", b'{"a":1}', b"\xff", b'["e",1,2]', b"[[],1,2]"):
            folder.write("acked", data)
            spool = spool_at(folder)
            assert spool.acked() is None and everything(spool) == accepted, data


def test_a_file_of_a_newer_version_is_refused_and_kept():
    with Folder() as folder:
        spool = spool_at(folder)
        spool.append(record(1))
        spool.close()
        name = folder.names()[0]
        data = folder.read(name)
        head = b"BRN2" + data[4:20]
        newer = head + crc32(head).to_bytes(4, "big") + data[24:]
        folder.write(name, newer)
        assert "newer" in str(raises(ValueError, spool_at, folder))
        assert folder.read(name) == newer


def test_an_ack_of_the_beginning_of_this_epoch_covers_all_older_ones():
    with Folder() as folder:
        spool = spool_at(folder)
        place = spool.append(record(1))
        spool.close()
        spool = spool_at(folder)
        spool.ack((spool.epoch, 0))
        assert spool.waiting() == 0
        spool.ack(place)
        assert spool.acked() == (spool.epoch, 0)


def test_what_is_left_of_a_replacement_is_removed():
    with Folder() as folder:
        spool = spool_at(folder)
        place = spool.append(record(1))
        spool.close()
        folder.write("00000001.seg.tmp", b"half a gap")
        folder.write("acked", b"")
        folder.write("acked.tmp", b"")
        folder.write("notes.txt", b"of someone else")
        assert everything(spool_at(folder)) == [(place, record(1))]
        assert folder.names("") == ["00000001.seg", "acked", "notes.txt"]


def test_a_replacement_that_fat_left_half_way_is_completed():
    """It removes what a rename replaces, and then renames."""
    with Folder() as folder:
        spool = spool_at(folder)
        places = [spool.append(record(i)) for i in range(3)]
        spool.ack(places[1])
        spool.close()
        os.rename(folder.path + "/acked", folder.path + "/acked.tmp")
        assert spool_at(folder).acked() == places[1] and folder.names("") == ["00000001.seg", "acked"]
        os.rename(folder.path + "/00000001.seg", folder.path + "/00000001.seg.tmp")
        assert spool_at(folder).read(places[1], 9) == [(places[2], record(2))]
        folder.write("00000002.seg.tmp", b"not whole")
        assert spool_at(folder).read(places[1], 9) == [(places[2], record(2))]
        assert folder.names("") == ["00000001.seg", "acked"]


# A full disk


class FullFor(FaultyFiles):
    """The disk is full for `writes` writes."""

    def __init__(self, full_after, writes, torn):
        super().__init__(full_after=full_after, torn=torn)
        self.until = full_after + writes - 1

    def _step(self):
        super()._step()
        if self.writes >= self.until:
            self.full_after = None


def fill_disk(policy, full_after, writes, torn):
    """Append while `writes` writes fail from `full_after` on; how often that was noticed."""
    files = FullFor(full_after, writes, torn)
    with Folder() as folder:
        spool = bounded(folder, policy, files=files)
        accepted = []
        failed = refused = 0
        troubles = 0
        for i in range(1, 41):
            if policy != "drop_oldest" and len(accepted) % 9 == 8:
                spool.ack(accepted[-3][0])
            try:
                place = spool.append(record(i))
            except OSError as e:
                assert e.args[0] == 28
                failed += 1
                continue
            if place is None:
                refused += 1
            else:
                accepted.append((place, record(i)))
                assert place == (spool.epoch, len(accepted))
            if i % 8 and troubles == failed + refused + spool.counters["torn"]:
                continue  # nothing new
            troubles = failed + refused + spool.counters["torn"]
            assert 600 >= spool.size() == sum([len(folder.read(name)) for name in folder.names("")])
            assert [segment for segment in spool._segments if segment.next == segment.first] == []
            acked = spool.acked()[1] if spool.acked() else 0
            entries = everything(spool, (spool.epoch, acked))
            check_cover(entries)
            check_data(entries, accepted)
            if spool.size():  # with room for a Gap only once the next record has made room for itself
                assert len(data_of(entries)) + len(lost(entries)) == len(accepted) - acked
                assert spool.counters["dropped"] == len(lost(entries))
            if writes == 1:  # then there is room for the Gap itself
                assert [gap for gap in gaps_of(entries) if gap.reason != "full"] == []
        counters = spool.counters
        assert (counters["appended"], counters["refused"]) == (len(accepted), refused)
        if policy == "drop_oldest":
            assert refused == 0
            assert failed == 0 or writes > 1 or full_after <= 2, "there was something to drop for it"
        else:
            assert counters["dropped"] == 0 and failed == 0
        assert accepted[-1][1] == record(40)  # it goes on when there is room again
        assert not [name for name in folder.names("") if name.endswith(".tmp")]
        spool.close()
        again = bounded(folder, policy)
        acked = again.acked()[1] if again.acked() else 0
        entries = everything(again, (spool.epoch, acked))
        check_cover(entries)
        check_data(entries, accepted)
        assert len(data_of(entries)) + len(lost(entries)) == len(accepted) - acked
        return failed + refused


def test_a_full_disk_at_every_write_with_every_policy():
    for policy in POLICIES:
        troubles = 0
        for full_after in range(1, 33, 1 if CPYTHON else 3):
            for writes in (1, 2, 3, 8) if CPYTHON else (1, 3):
                for torn in (0, 12):
                    try:
                        troubles += fill_disk(policy, full_after, writes, torn)
                    except AssertionError:
                        print("policy", policy, "full_after", full_after, "writes", writes, "torn", torn)
                        raise
        assert troubles


def test_a_full_disk_costs_what_was_acknowledged_first():
    with Folder() as folder:
        files = FullFor(1 << 30, 1, 0)
        spool = bounded(folder, "drop_oldest", files=files)
        accepted = [(spool.append(record(i)), record(i)) for i in range(1, 15)]
        spool.ack(accepted[9][0])
        files.full_after = files.until = files.writes + 1
        accepted.append((spool.append(record(15)), record(15)))
        assert spool.counters["dropped"] == 0 and accepted[-1][0]
        assert everything(spool, accepted[9][0]) == accepted[10:]


def test_a_full_disk_costs_a_gap_that_was_acknowledged_first():
    with Folder() as folder:
        files = FullFor(1 << 30, 1, 0)
        spool = bounded(folder, "drop_oldest", files=files)
        while not spool.counters["dropped"]:
            spool.append(record(1))
        dropped = spool.counters["dropped"]
        spool.ack((spool.epoch, dropped))
        spool._max_bytes = 1000  # the spool has room, the disk has not
        files.full_after = files.until = files.writes + 1
        assert spool.append(record(2))
        assert spool.counters["dropped"] == dropped and gaps_of(everything(spool)) == []


def test_a_full_disk_for_the_gap_itself_leaves_it_all_the_same():
    with Folder() as folder:
        files = FullFor(1 << 30, 1, 0)
        spool = bounded(folder, "drop_oldest", files=files)
        while not spool.counters["dropped"]:
            files.full_after = files.until = files.writes + 1 if spool.size() > 590 else 1 << 30
            spool.append(record(1))
        entries = everything(spool)
        assert entries[0][1] == Gap(1, spool.counters["dropped"], "full")
        assert spool.size() == sum([len(folder.read(name)) for name in folder.names("")])
        spool.close()
        assert everything(bounded(folder, "drop_oldest")) == entries


def test_a_full_disk_at_close_forgets_acks_only():
    with Folder() as folder:
        files = FaultyFiles()
        spool = spool_at(folder, files)
        accepted = [(spool.append(record(i)), record(i)) for i in range(5)]
        spool.ack(accepted[2][0])
        files.full_after = 1
        spool.close()
        again = spool_at(folder)
        assert again.acked() is None and everything(again) == accepted


class FailingSync(FaultyFiles):
    """`sync` fails at the calls in `fails`."""

    def __init__(self, fails):
        super().__init__()
        self.syncs = 0
        self.fails = fails

    def sync(self, file):
        self.syncs += 1
        if self.syncs in self.fails:
            raise OSError(5, "the medium failed (by the test)")
        super().sync(file)


def test_a_sync_that_fails_takes_nothing():
    for fail in range(1, 30):
        with Folder() as folder:
            spool = spool_at(folder, FailingSync((fail,)), segment_bytes=120)
            accepted = []
            failed = 0
            for i in range(1, 13):
                try:
                    accepted.append((spool.append(record(i)), record(i)))
                except OSError as e:
                    assert e.args[0] == 5
                    failed += 1
                assert everything(spool) == accepted
                assert spool.counters["appended"] == len(accepted)
            assert failed == (1 if fail <= 12 else failed)
            try:
                spool.close()
            except OSError:
                spool.close()
            entries = everything(spool_at(folder))
            check_cover(entries)
            # a record of which it is not known whether it is on the medium may be there, at the very end
            assert data_of(entries)[: len(accepted)] == accepted and len(entries) - len(accepted) in (0, 1)
            assert len(entries) == len(accepted) or failed


# The power cut


class Steps(FaultyFiles):
    """Notes which steps are writes."""

    def __init__(self):
        super().__init__()
        self.kinds = [0]

    def _step(self):
        super()._step()
        self.kinds.append(self.writes)

    def is_write(self, step):
        return self.kinds[step] > self.kinds[step - 1]


class Run:
    """A program that uses a spool until the power goes; what it knows then."""

    def __init__(self, folder, files, sync_every=0):
        self.accepted = []  # [(place, record), ...] for which append has returned
        self.durable = 0  # how many of them are on the medium
        self.acked = 0  # how many of them were acknowledged
        self.trying = None  # the record that append was called with
        self.dropped = []  # after each append: how many were dropped, over both opens
        self.whole = False
        try:
            before = 0
            for appends in (13, 5):
                options = {"max_bytes": 390, "segment_bytes": 110, "sync_each": not sync_every}
                spool = spool_at(folder, files, **options)
                for _ in range(appends):
                    self.trying = record(len(self.accepted) + 1)
                    self.accepted.append((spool.append(self.trying), self.trying))
                    self.trying = None
                    self.dropped.append(before + spool.counters["dropped"])
                    if sync_every and len(self.accepted) % sync_every == 0:
                        spool.sync()
                    if not sync_every or len(self.accepted) % sync_every == 0:
                        self.durable = len(self.accepted)
                    if len(self.accepted) in (6, 15):
                        self.acked = len(self.accepted) - 2
                        spool.ack(self.accepted[self.acked - 1][0])
                        spool.trim()
                before += spool.counters["dropped"]
                spool.close()
                self.durable = len(self.accepted)
            self.whole = True
        except PowerCut:
            pass

    def check(self, folder, reference):
        """What is in the folder is what the program was promised; returns the spool."""
        spool = spool_at(folder, max_bytes=390, segment_bytes=110)
        entries = everything(spool)
        check_cover(entries)
        data = data_of(entries)
        places = [place for place, _ in self.accepted]
        if self.trying and data and data[-1][1] == self.trying:
            place, _ = data.pop()  # it was being written; nobody was told its place
            assert place not in places
            entries = entries[:-1]
        check_data(entries, self.accepted)
        there = {place for place, _ in data}
        gone = [i for i, place in enumerate(places) if place not in there and i < self.durable]
        in_gaps = set(lost(entries))
        # dropped are the oldest; acknowledged ones may be there or not
        unexplained = [i for i in gone if i >= self.acked and places[i] not in in_gaps]
        assert unexplained == [], (unexplained, entries)
        n = len(self.accepted)
        most = reference.dropped[n] if n < len(reference.dropped) else reference.dropped[-1]
        assert len([i for i in gone if i >= self.acked]) <= most, (gone, most)
        for gap in gaps_of(entries):
            assert gap.reason in ("full", "trimmed"), entries
        return spool


def goes_on(spool, folder):
    """After a cut the spool takes records, and they are there after the next open."""
    before = data_of(everything(spool))
    new = [(spool.append(record(i)), record(i)) for i in range(901, 904)]
    assert data_of(everything(spool))[-3:] == new
    spool.close()
    again = spool_at(folder, max_bytes=390, segment_bytes=110)
    entries = everything(again)
    check_cover(entries)
    check_data(entries, before + new)
    assert data_of(entries)[-3:] == new
    again.close()


def cut_everywhere(sync_every, lose_unsynced, torns):
    with Folder() as folder:
        steps = Steps()
        reference = Run(folder, steps, sync_every)
        assert reference.whole and reference.dropped[-1] >= 3
        for step in range(1, steps.steps + 1):
            for torn in torns if steps.is_write(step) and not lose_unsynced else (0,):
                folder.clear()
                run = Run(folder, FaultyFiles(cut_after=step, torn=torn, lose_unsynced=lose_unsynced), sync_every)
                try:
                    assert not run.whole
                    goes_on(run.check(folder, reference), folder)
                except Exception:
                    print("step", step, "torn", torn, "sync_every", sync_every, "lose_unsynced", lose_unsynced)
                    raise
        return steps.steps


def test_power_cut_at_every_step_and_every_byte():
    # a record takes 28 bytes, a header 24, a gap fewer than 50: all of a write, and not yet returned from, too
    assert cut_everywhere(0, False, range(0, 51) if CPYTHON else (0, 9, 27, 50)) > 80


def test_power_cut_that_loses_what_was_not_synced():
    assert cut_everywhere(0, True, (0,)) > 80


def test_power_cut_when_the_caller_syncs():
    cut_everywhere(3, False, (0, 1, 8, 27, 50) if CPYTHON else (27,))
    cut_everywhere(3, True, (0,))


def test_power_cut_again_while_it_opens():
    with Folder() as folder:
        steps = Steps()
        reference = Run(folder, steps)
        for step in range(1, steps.steps + 1, 2 if CPYTHON else 7):
            for second in range(1, 12, 1 if CPYTHON else 3):
                for lose_unsynced in (False, True):
                    folder.clear()
                    run = Run(folder, FaultyFiles(cut_after=step, torn=5, lose_unsynced=lose_unsynced))
                    files = FaultyFiles(cut_after=second, torn=5, lose_unsynced=lose_unsynced)
                    try:
                        spool = spool_at(folder, files, max_bytes=390, segment_bytes=110)
                        spool.append(run.trying or record(800))
                        raise AssertionError("it takes more steps")
                    except PowerCut:
                        pass
                    except AssertionError:
                        if second < 5:
                            raise
                    if run.trying is None:
                        run.trying = record(800)
                    run.dropped = reference.dropped
                    entries = data_of(everything(spool_at(folder, max_bytes=390, segment_bytes=110)))
                    places = [place for place, _ in run.accepted]
                    kept = [entry for entry in entries if entry[0] in places]
                    check_data(kept, run.accepted)
                    for place, what in entries:
                        assert place in places or what == run.trying


def test_a_long_record_whose_length_is_cut_by_the_block_is_read_whole():
    for n in list(range(470, 512)) + list(range(2006, 2048)):  # for blocks of 512 and of 2048 bytes
        with Folder() as folder:
            spool = spool_at(folder, max_bytes=1 << 16, segment_bytes=8192)
            records = [["x" * n], ["y" * 3000], [1]]
            for one in records:
                spool.append(one)
            assert [one for _, one in spool.read(None, 10)] == records, n
