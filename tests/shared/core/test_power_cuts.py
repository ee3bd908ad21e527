# heap: 2048k
# timeout: 60
"""A long life with many power cuts, by seed: what the segment spool took is there, once, or stands in a Gap.

test_segments.py cuts a short run at every step and byte; here are long ones, with everything that a spool does.
"""

import os
import sys

from bourn.spool import Gap
from bourn.spool.segments import SegmentSpool
from bourn.testing import FaultyFiles, PowerCut

SEED = int(os.getenv("BOURN_SEED") or 20261121)
LIVES = 30 if sys.implementation.name == "cpython" else 8  # each ends by a power cut


class Chance:
    """The same numbers on every interpreter (Marsaglia's xorshift of 32 bits)."""

    def __init__(self, seed):
        self.x = (seed * 2654435761 + 1) & 0xFFFFFFFF or 1

    def __call__(self, n):
        """A number from 0 to n - 1."""
        x = self.x
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        self.x = x
        return (x >> 3) % n

    def bytes(self, n):
        return bytes([self(256) for _ in range(n)])


def live(path, chance, policy, taken, acked):
    """One life of the program; what it was told is in `taken` {place: number}, what the hub has in `acked`."""
    files = FaultyFiles(cut_after=1 + chance(400), torn=chance(60), lose_unsynced=True)
    trying = None
    offline = chance(3) > 0  # in most lives nobody reads
    try:
        spool = SegmentSpool(path, files, max_bytes=6000, segment_bytes=500, policy=policy, random=chance.bytes)
        for _ in range(400):  # a full spool that refuses takes no more steps
            what = chance(20)
            if what < 15:
                trying = len(taken)
                place = spool.append(["s1", trying, "x" * chance(40)])
                if place:
                    taken[place] = trying
                    trying = None
            elif what < 18 and not offline:
                entries = spool.read(spool.acked(), 1 + chance(20))
                for place, record in entries:
                    if not isinstance(record, Gap):
                        assert taken.get(place, record[1]) == record[1], (place, record)
                        acked[place] = True
                    else:  # the reader was told
                        for n in range(record.first, record.last + 1):
                            acked[(place[0], n)] = True
                if entries:
                    spool.ack(entries[-1][0])
            else:
                spool.trim()
    except PowerCut:
        return trying
    else:
        files.cut()
        return None
    finally:
        for file in files._open:
            file.close()


def check(path, taken, acked, trying, policy):
    """What the folder holds after a cut: every reading that was taken is acked, there once, or in a Gap."""
    spool = SegmentSpool(path, max_bytes=6000, segment_bytes=500, policy=policy)
    there = {}
    gone = set()
    after = None
    while True:
        entries = spool.read(after, 50)
        if not entries:
            break
        for place, record in entries:
            after = place
            if isinstance(record, Gap):
                assert record.reason in ("full", "trimmed"), record
                for n in range(record.first, record.last + 1):
                    gone.add((place[0], n))
                continue
            assert place not in there, "once"
            there[place] = record[1]
            if place in taken:
                assert taken[place] == record[1]
            else:  # it was being written when the power went, in this life or a former one
                assert record[1] == trying or place in acked or place in trying_places, (place, record, trying)
                trying_places.add(place)
    missing = [place for place in taken if place not in there and place not in acked and place not in gone]
    if policy != "drop_oldest":
        assert not gone and missing == [], missing[:5]
    else:  # a Gap itself is dropped last of all, when only gaps of former epochs are left
        known = {place[0] for place in list(there) + list(gone)}
        assert [place for place in missing if place[0] in known] == [], missing[:5]
    return len(there), len(gone)


trying_places = set()


def long_run(policy, seed):
    chance = Chance(seed)
    path = "/tmp/bourn-test-cuts-%s" % os.urandom(4).hex()
    os.mkdir(path)
    taken = {}
    acked = {}
    trying_places.clear()
    held = dropped = 0
    try:
        for _ in range(LIVES):
            trying = live(path, chance, policy, taken, acked)
            n, gone = check(path, taken, acked, trying, policy)
            held = max(held, n)
            dropped = max(dropped, gone)
    except Exception:
        print("policy", policy, "seed", seed)
        raise
    finally:
        for name in os.listdir(path):
            os.remove(path + "/" + name)
        os.rmdir(path)
    assert len(taken) > 20 * LIVES and held > 50 and acked, (len(taken), held)
    return dropped


def test_a_long_life_that_drops_the_oldest():
    assert long_run("drop_oldest", SEED) > 20


def test_a_long_life_that_drops_the_newest():
    assert long_run("drop_newest", SEED + 1) == 0
