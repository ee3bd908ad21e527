# heap: 1024k
# timeout: 60
# lanes: mpy-x64 mpy-armhf
"""The outbox on a real littlefs and FAT: the power goes at every block that they write, and the flash is too small."""

import os
import sys

from bourn.clock import RELATIVE
from bourn.spool import Gap
from bourn.spool.ram import RamFirst
from bourn.spool.segments import SegmentSpool
from bourn.spool.timed import TimedSpool
from bourn.testing.files import Files
from run import Skip

try:
    import vfs
except ImportError:  # before 1.23 it was part of `os`
    vfs = os

BLOCK = 512  # bytes; a board's are 4096, which takes longer and shows no more
FOLDER = "/flash/outbox"
T0 = 1800000000000  # the time of day at which a run begins


FAST = sys.maxsize > 1 << 32  # ARM is emulated

opened = []


class Opening(Files):
    """Remembers the files, so that the garbage collector has none to close."""

    def open(self, path, mode):
        opened.append(super().open(path, mode))
        return opened[-1]


class PowerCut(BaseException):
    """The power went; the flash holds what it held."""


class Flash:
    """A block device in RAM. Its power goes at the write number `cut_after`, of which half arrives (with `torn`)."""

    def __init__(self, data, cut_after=None, torn=True):
        self.data = data
        self.torn = torn
        self.writes = 0
        self.cut_after = cut_after
        self.off = False

    def readblocks(self, n, buf, offset=0):
        if self.off:
            return
        at = n * BLOCK + offset
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, n, buf, offset=0):
        if self.off:  # as the garbage collector closes what is still open, and has no memory for more than this
            return
        self.writes += 1
        at = n * BLOCK + offset
        if self.cut_after is not None and self.writes >= self.cut_after:
            if self.writes == self.cut_after and self.torn:
                half = len(buf) // 2
                self.data[at : at + half] = bytes(buf)[:half]
            raise PowerCut
        self.data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // BLOCK
        return BLOCK if op == 5 else 0


class Board:
    """A flash that is mounted on /flash: littlefs, or `kind` "VfsFat", whose card writes a sector or does not."""

    def __init__(self, blocks, kind="VfsLfs2"):
        if not hasattr(vfs, kind):
            raise Skip("no %s here" % kind)
        self.kind = getattr(vfs, kind)
        self.flash = Flash(bytearray(blocks * BLOCK), None, kind == "VfsLfs2")
        self.kind.mkfs(self.flash)
        self.mount()

    def mount(self, cut_after=None):
        """The power is on, for so many writes."""
        old, self.flash = self.flash, Flash(bytearray(self.flash.data), cut_after, self.flash.torn)
        old.off = True
        vfs.mount(self.kind(self.flash), "/flash")

    def end(self):
        """The power is off, for the program as well."""
        self.flash.off = True
        for file in opened:
            try:
                file.close()
            except OSError:
                continue  # it finds no flash
        opened.clear()
        vfs.umount("/flash")


def outbox(ram, max_bytes=4096, segment_bytes=512, policy="drop_oldest"):
    """With `ram` readings in RAM first; 0: each is written."""
    spool = SegmentSpool(FOLDER, Opening(), max_bytes, segment_bytes, policy, not ram)
    return RamFirst(spool, ram) if ram else spool


def everything(spool):
    entries = []
    page = spool.read(spool.acked(), 7)
    while page:
        entries += page
        page = spool.read(page[-1][0], 7)
    return entries


def live(board, ram, taken, synced):
    """A run of a program until the power goes; what it took, and how much of that is on the medium."""
    spool = outbox(ram)
    for i in range(28):
        place = spool.append([len(taken), "x" * 20])
        taken.append(place)
        if not ram or i % 7 == 6:
            spool.sync()
            synced[0] = len(taken)
        if i == 12:
            spool.ack(taken[synced[0] - 9])
            spool.trim()
    spool.close()
    synced[0] = len(taken)


def check(spool, taken, synced):
    """What was synced is there, once and unchanged; what was not, and is there, is unchanged."""
    there = {}
    for place, what in everything(spool):
        assert not isinstance(what, Gap), what
        assert place not in there
        there[place] = what[0]
        if place in taken:
            assert taken.index(place) == what[0], (place, what)
    first = taken.index(spool.acked()) + 1 if spool.acked() in taken else 0
    for n in range(first, synced):
        if taken[n] not in there:  # acknowledged and trimmed, before the ack was forgotten
            assert n <= 12, n


def test_the_power_goes_at_every_block():
    for ram, kind in ((0, "VfsLfs2"), (5, "VfsLfs2"), (0, "VfsFat"), (5, "VfsFat")):
        cut_after = 0
        whole = False
        while not whole:
            cut_after += 1 if FAST else 9
            board = Board(64 if kind == "VfsLfs2" else 200, kind)
            vfs.umount("/flash")
            taken = []
            synced = [0]
            try:
                board.mount(cut_after)
                live(board, ram, taken, synced)
                whole = True
            except PowerCut:
                board.flash.cut_after = None
            board.end()
            board.mount()
            try:
                spool = outbox(ram)
                check(spool, taken, synced[0])
                place = spool.append([1000, ""])
                spool.close()
                assert everything(outbox(ram))[-1] == (place, [1000, ""])
            except Exception:
                print("ram", ram, "cut_after", cut_after, kind)
                raise
            board.end()
        assert cut_after > 30


class RunClock:
    """A clock of one run; its `offset` is what is known of the time."""

    def __init__(self):
        self.ms = 0
        self.offset = None

    def wall(self):
        self.ms += 10
        return self.ms + (RELATIVE if self.offset is None else self.offset)


def test_a_time_that_was_given_is_kept_where_the_power_goes():
    """The file that notes it is replaced; FAT does that in two steps."""
    for kind in ("VfsLfs2", "VfsFat"):
        cut_after = 0
        whole = False
        while not whole:
            cut_after += 1 if FAST else 3
            board = Board(64 if kind == "VfsLfs2" else 200, kind)
            vfs.umount("/flash")
            clock = RunClock()
            taken = []
            seen = []
            try:
                board.mount(cut_after)
                spool = TimedSpool(outbox(0), clock)
                for i in range(5):
                    taken.append(spool.append(["s", clock.wall(), i]))
                    if i == 2:
                        clock.offset = T0
                        seen = spool.read(None, 9)
                whole = True
            except PowerCut:
                board.flash.cut_after = None
            board.end()
            board.mount()
            clock = RunClock()
            spool = TimedSpool(outbox(0), clock)
            clock.offset = T0 + 60000
            there = dict(spool.read(None, 9))
            for i, place in enumerate(taken):
                assert there[place][2] == i and T0 <= there[place][1] <= T0 + 60000, (kind, cut_after, there)
            for place, record in seen:
                assert there[place][1] == record[1], (kind, cut_after, "it was read with this time")
            board.end()
        assert cut_after > 20


def test_a_flash_that_is_too_small_costs_the_oldest_and_never_the_newest():
    # On a full one, making a file fails by another error than writing to one.
    for blocks in (16, 24, 32) if FAST else (24,):
        for segment_bytes in (512, 1024, 4096):
            for ram in (0, 10):
                board = Board(blocks)
                spool = outbox(ram, 65536, segment_bytes)
                for i in range(1, 301):
                    assert spool.append([i, "x" * 30]) == (spool.epoch, i)
                entries = everything(spool)
                last = 0
                for place, what in entries:
                    assert (what.first if isinstance(what, Gap) else what[0]) == last + 1
                    last = place[1]
                data = [what for _, what in entries if not isinstance(what, Gap)]
                assert last == 300 and len(data) == 300 - spool.counters["dropped"] >= 8, (blocks, segment_bytes, ram)
                board.end()


def test_a_flash_that_is_full_at_the_start_of_a_run_without_a_time():
    """The note that the times are to be found needs room as well."""
    for blocks in (16, 18, 20) if FAST else (18,):
        board = Board(blocks)
        clock = RunClock()
        clock.offset = T0
        spool = TimedSpool(outbox(0, 65536, 1024), clock)
        for i in range(400):
            spool.append(["s", clock.wall(), i])
        assert spool.counters["dropped"]
        for _ in range(3):  # resets while there is no network
            clock = RunClock()
            spool = TimedSpool(outbox(0, 65536, 1024), clock)
            for i in range(400, 410):
                assert spool.append(["s", clock.wall(), i])
            assert spool.held() >= 3
        clock.offset = T0 + 60000
        entries = everything(spool)  # there may be no room to note the times either
        values = [what[2] for _, what in entries if not isinstance(what, Gap)]
        assert values[-2:] == [408, 409], (blocks, values)
        assert [1 for _, what in entries if not isinstance(what, Gap) and what[1] < 0] == []
        board.end()


def test_a_flash_that_is_too_small_refuses_where_that_is_the_policy():
    board = Board(24)
    spool = outbox(0, 65536, 1024, "drop_newest")
    taken = []
    while spool.counters["refused"] < 20:
        place = spool.append([len(taken), "x" * 30])
        if place:
            taken.append(place)
    assert [place for place, _ in everything(spool)] == taken and len(taken) > 50
    spool.ack(taken[-3])
    assert spool.append([len(taken), ""]) and spool.append([len(taken) + 1, ""])
    board.end()


def test_what_was_taken_and_not_synced_is_no_gap():
    board = Board(64)
    spool = SegmentSpool(FOLDER, Opening(), 4096, sync_each=False)
    taken = [(spool.append([i]), [i]) for i in range(4)]
    assert everything(spool) == taken and spool.counters["dropped"] == 0
    taken.append((spool.append([4]), [4]))
    assert spool.read(taken[1][0], 9) == taken[2:]
    spool.sync()
    assert everything(spool) == taken
    board.end()
