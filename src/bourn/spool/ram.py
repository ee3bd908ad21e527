"""A spool in RAM, and one that is RAM first: for boards without flash to spare, and to write flash seldom.

`RamSpool` holds `ram` records and forgets them when the power goes. `RamFirst(spool, ram)` writes to `spool` only what
RAM has no more room for (all of it then, and one sync), or when `sync` or `close` asks for it: as long as the reader
keeps up, nothing is ever written. It promises what the contract does: a record survives a power cut after the next
`sync`; so at most the latest `ram` records are at risk. Both keep the contract of `bourn.spool`.
"""

import json

from bourn._compat.system import random_bytes
from bourn.spool import POLICIES, Gap
from bourn.spool.segment_file import MAX_RECORD


class RamSpool:
    """The spool contract over at most `ram` records in RAM; when it is full, `policy` decides.

    "drop_oldest" leaves a Gap, "drop_newest" and "block" let `append` return None. `random(n)` returns n bytes.
    """

    def __init__(self, ram=100, policy="drop_oldest", epoch=None, seq=0, random=random_bytes):
        if policy not in POLICIES:
            raise ValueError("policy must be one of %s, not %r" % (", ".join(POLICIES), policy))
        if ram < 1:
            raise ValueError("ram must be at least 1, not %r" % (ram,))
        self._ram = ram
        self.policy = policy
        self.epoch = epoch or random(8).hex()
        self.seq = seq  # the last number given
        self._records = []  # the latest: their numbers end with seq
        self._open = seq + 1  # what comes before is acknowledged; from it up to those here: dropped
        self._acked = None
        self.counters = {"appended": 0, "refused": 0, "dropped": 0, "torn": 0}

    def append(self, record):
        """Take `record` and return its place; None when it was refused by policy."""
        if self.full():
            if self.policy != "drop_oldest":
                self.counters["refused"] += 1
                return None
            self.counters["dropped"] += 1
        if len(self._records) >= self._ram:
            self._records.pop(0)  # acknowledged, unless it was full
        self._records.append(record)
        self.seq += 1
        self.counters["appended"] += 1
        return (self.epoch, self.seq)

    def full(self):
        """True when there is no more room beside what was not acknowledged."""
        return self.waiting() >= self._ram

    def first(self):
        """The number of the oldest record here; of the next one when there is none."""
        return self.seq - len(self._records) + 1

    def sync(self):
        """Nothing: what is in RAM does not survive."""

    def read(self, after, limit):
        """At most `limit` of what follows the place `after` (None: the beginning), as [(place, record or Gap), ...]."""
        here = self.first()
        seq = min(self._open, here)
        if after is not None and after[0] == self.epoch:
            seq = max(seq, after[1] + 1)
        entries = []
        if seq < here and limit > 0:
            entries.append(((self.epoch, here - 1), Gap(seq, here - 1, "full")))
            seq = here
        while seq <= self.seq and len(entries) < limit:
            entries.append(((self.epoch, seq), self._records[seq - here]))
            seq += 1
        return entries

    def ack(self, place, cursor=""):
        """The reader has everything up to `place`."""
        if cursor:
            raise ValueError("there is one reader, the cursor ''")
        if place[0] == self.epoch and place[1] >= self._open:
            self._acked = place
            self._open = min(place[1], self.seq) + 1

    def acked(self, cursor=""):
        """The place up to which the reader has everything, or None."""
        return self._acked

    def trim(self):
        """Remove what the reader has acknowledged; returns how many records that were."""
        removed = max(0, min(self._open - self.first(), len(self._records)))
        del self._records[:removed]
        return removed

    def close(self):
        """Nothing: what is in RAM is lost with the object."""

    def size(self):
        """0: there are no files."""
        return 0

    def waiting(self):
        """How many records were not acknowledged yet (gaps not counted)."""
        return min(len(self._records), self.seq + 1 - self._open)


class RamFirst:
    """`spool` with room for `ram` records in RAM before it; policy, epoch and bounds are those of `spool`.

    `spool` is a SegmentSpool; open it with `sync_each=False`, so that one sync covers all that is written at once.
    `counters["spilled"]` are the records that were written.
    """

    def __init__(self, spool, ram=100):
        self.spool = spool
        self.policy = spool.policy
        self.epoch = spool.epoch
        self._ram = RamSpool(ram, "block", spool.epoch, spool.seq)
        self.counters = {"spilled": 0}
        self._count()

    @property
    def seq(self):
        """The last number given."""
        return self._ram.seq

    def append(self, record):
        """Take `record` and return its place; None when `spool` had to take what is in RAM, and refused."""
        # now, not when it is written: then it would stand in the way of all that follow
        size = len(json.dumps(record).encode())
        limit = getattr(self.spool, "_longest", MAX_RECORD)
        if size > limit:
            raise ValueError("a reading of %d bytes; the limit is %d" % (size, limit))
        try:
            if self._ram.full():
                try:
                    self._spill()
                except OSError:  # once more, where that has not made room: a new file may do what the last one did not
                    if self._ram.full():
                        self._spill()
            return self._ram.append(record)
        finally:
            self._count()

    def sync(self):
        """What was taken is on the medium when this returns. OSError: some of it is not."""
        if self._ram.waiting():
            self._spill()
            self._count()
            if self._ram.waiting():
                raise OSError(28, "the spool is full")  # ENOSPC
        else:
            self.spool.sync()

    def read(self, after, limit):
        """As the contract says: first what is in `spool`, then what is in RAM."""
        first = self._ram.first()
        if after is not None and after[0] == self.epoch and after[1] >= first - 1:
            return self._ram.read(after, limit)
        entries = self.spool.read(after, limit)
        last = entries[-1][0] if entries else after
        if len(entries) < limit and (not entries or last == (self.epoch, self.spool.seq)):  # there is no more of it
            if last is not None and last[0] == self.epoch and last[1] < first - 1:
                # acknowledged out of RAM, and asked for again all the same
                entries.append(((self.epoch, first - 1), Gap(last[1] + 1, first - 1, "trimmed")))
            entries += self._ram.read((self.epoch, first - 1), limit - len(entries))
        return entries

    def ack(self, place, cursor=""):
        """The reader has everything up to `place`: out of RAM it is gone at once."""
        self.spool.ack(place, cursor)
        self._ram.ack(place)
        self._ram.trim()

    def acked(self, cursor=""):
        """The place up to which the reader has everything, or None."""
        return self.spool.acked(cursor)

    def trim(self):
        """As that of `spool`."""
        return self.spool.trim()

    def close(self):
        """Write what is in RAM, and close `spool`. What it refuses is lost, and counted as refused."""
        self._spill()
        self._ram.counters["refused"] += self._ram.waiting()
        self._count()
        self.spool.close()

    def size(self):
        """Bytes in all files."""
        return self.spool.size()

    def waiting(self):
        """How many records were not acknowledged yet (gaps not counted)."""
        return self.spool.waiting() + self._ram.waiting()

    def _spill(self):
        """Move what is in RAM to `spool`, in order, and sync; less when it refuses. OSError: the medium failed."""
        ram = self._ram
        if not ram.waiting():
            return
        spool = self.spool
        if ram.first() - 1 > spool.seq:
            # These were acknowledged out of RAM and stand nowhere. Within a file numbers follow each other, so what
            # comes now begins a new one.
            if spool._active is not None:
                spool._close_active()
            spool.seq = ram.first() - 1
        try:
            for _, record in ram.read((self.epoch, ram.first() - 1), ram.waiting()):
                if spool.append(record) is None:
                    break
                self.counters["spilled"] += 1
        finally:
            # what `spool` has taken is its own now, also where the next record failed
            ram.ack((self.epoch, spool.seq))
            ram.trim()
        spool.sync()

    def _count(self):
        inner = self.spool.counters
        for name in ("dropped", "torn"):
            self.counters[name] = inner[name]
        for name in ("appended", "refused"):
            self.counters[name] = self._ram.counters[name]
