# heap: 1024k
# timeout: 60
"""A spool in RAM, and one that is RAM first, by the contract of all spools."""

import os

import spool_contract

from bourn.spool import Gap
from bourn.spool.ram import RamFirst, RamSpool
from bourn.spool.segments import SegmentSpool
from bourn.testing import FaultyFiles, raises


class RamHome:
    """A spool in RAM lives as long as its process: a close loses nothing, a crash everything."""

    cursors = ("",)
    never = ()

    def __init__(self, ram=100):
        self.spool = RamSpool(ram)

    def open(self):
        return self.spool

    def record(self, i):
        return ["s1", 1700000000000 + i, i]

    def number(self, entry):
        return entry[1][2]

    def remove(self):
        pass


class RamFirstHome(RamHome):
    """`ram` records before a spool in files."""

    never = (["s1", 0, "x" * 2100],)

    def __init__(self, ram):
        self.ram = ram
        self.path = "/tmp/bourn-test-ram-" + os.urandom(4).hex()
        os.mkdir(self.path)

    def open(self):
        self.files = FaultyFiles(lose_unsynced=True)
        files = SegmentSpool(self.path, self.files, max_bytes=4096, segment_bytes=160, sync_each=False)
        return RamFirst(files, self.ram)

    def crash(self, spool):
        self.files.cut()

    def remove(self):
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)


def keeps_the_contract(make_home, checks):
    homes = []

    def make():
        homes.append(make_home())
        return homes[-1]

    try:
        for check in checks:
            check(make)
    finally:
        for home in homes:
            home.remove()


def test_in_ram_alone_it_keeps_all_of_the_contract_but_what_power_cuts_ask():
    crash = (
        spool_contract.a_crash_keeps_what_was_synced,
        spool_contract.a_crash_loses_the_end_of_what_was_not_synced_and_nothing_else,
        spool_contract.an_ack_may_be_forgotten_by_a_crash_and_a_record_not,
    )
    checks = [check for check in spool_contract.CHECKS if check not in crash]
    assert len(checks) == len(spool_contract.CHECKS) - 3
    keeps_the_contract(RamHome, checks)


def test_ram_first_keeps_the_contract_whatever_has_room_in_ram():
    for ram in (1, 3, 100):
        keeps_the_contract(lambda ram=ram: RamFirstHome(ram), spool_contract.CHECKS)


def test_what_is_acknowledged_makes_room_before_anything_is_dropped():
    spool = RamSpool(3)
    places = [spool.append(i) for i in range(3)]
    assert spool.full() and spool.waiting() == 3
    spool.ack(places[1])
    assert not spool.full() and spool.waiting() == 1
    assert [record for _, record in spool.read(None, 9)] == [0, 1, 2], "an ack removes nothing"
    spool.append(3)
    spool.append(4)
    assert spool.counters["dropped"] == 0 and [r for _, r in spool.read(None, 9)] == [2, 3, 4]
    spool.append(5)
    assert spool.counters["dropped"] == 1
    gap, *rest = spool.read(spool.acked(), 9)
    assert gap == ((spool.epoch, 3), Gap(3, 3, "full")) and [r for _, r in rest] == [3, 4, 5]
    spool.ack((spool.epoch, 99))  # a hub that knows more than there is: all of it
    assert spool.waiting() == 0 and spool.trim() == 3 and spool.trim() == 0


def test_each_policy_when_it_is_full():
    for policy in ("drop_newest", "block"):
        spool = RamSpool(2, policy)
        places = [spool.append(i) for i in range(4)]
        assert places[2:] == [None, None] and spool.counters["refused"] == 2
        spool.ack(places[0])
        assert spool.append(9) is not None and [r for _, r in spool.read(spool.acked(), 9)] == [1, 9]
    assert "policy must be" in str(raises(ValueError, RamSpool, 2, "keep"))
    assert "at least 1" in str(raises(ValueError, RamSpool, 0))
    assert "one reader" in str(raises(ValueError, spool.ack, places[0], "second"))


def test_a_spool_that_gives_little_at_a_time_hides_nothing_behind_it():
    home = RamFirstHome(4)
    spool = home.open()
    places = [spool.append(home.record(i)) for i in range(1, 21)]
    read = spool.spool.read
    spool.spool.read = lambda after, limit: read(after, min(limit, 3))  # as a small board reads long records
    entries = []
    while len(entries) < 20:
        found = spool.read(entries[-1][0] if entries else None, 50)
        assert found and not [1 for _, what in found if isinstance(what, Gap)]
        entries += found
    assert [place for place, _ in entries] == places and spool.read(places[-1], 5) == []
    spool.close()
    home.remove()


def test_what_a_full_spool_refuses_at_the_close_is_counted():
    home = RamFirstHome(4)
    spool = home.open()
    spool.spool.policy = "drop_newest"
    taken = 0
    while spool.append(home.record(taken + 1)):
        taken += 1
    refused = spool.counters["refused"]
    left = spool._ram.waiting()
    spool.close()
    assert spool.counters["refused"] == refused + left > 0 and spool.counters["appended"] == taken
    again = home.open()
    assert [what[2] for _, what in again.read(None, 999)] == list(range(1, taken - left + 1))
    again.close()
    home.remove()
