"""An outbox whose readings may be older than the clock's knowledge of the time.

A reading stamped before the time was known (ts = RELATIVE + ms of this run, see `bourn.clock`) is taken and is on the
medium like any other; the folder's file `times` notes, before the first of them, that this epoch holds such stamps.
While the time is not known nothing can be read: OSError, so that a sender opens no link. (It would have to name its
oldest number, and an answer about a newer epoch counts as an ack of all older ones.) When it is known, the file gets
the offset of each noted epoch, durably and before any of their readings is read; so what is sent twice carries the same
time both times, also after a power cut. (Where the disk is full they are read all the same, for only what is sent makes
room; a power cut then costs the exactness of what was not.)

An epoch whose run ended before the time was known cannot be placed exactly: its last reading is taken to be from the
beginning of the run that came next, which is the latest that it can be, and `counters["estimated"]` counts the epochs.
"""

import json

from bourn._compat.system import crc32
from bourn.clock import RELATIVE, is_relative
from bourn.spool import Gap

EBUSY = 16  # errno, the same on every port


class TimedSpool:
    """`spool` by the same contract, read with the times of `clock` (a BoardClock: `offset`).

    `spool` is a SegmentSpool, or a RamFirst before one.
    """

    def __init__(self, spool, clock):
        self._spool = spool
        self._folder = getattr(spool, "spool", spool)  # whose files these are
        self._clock = clock
        self.policy = spool.policy
        self.epoch = spool.epoch
        for name in ("sync", "ack", "acked", "trim", "size", "close"):
            setattr(self, name, getattr(spool, name))  # the contract, as it is there
        self.counters = spool.counters
        self.counters["estimated"] = 0
        self._times = self._load()  # [[epoch, offset or None], ...], oldest first
        self._settled = not [1 for _, offset in self._times if offset is None]

    # -- the contract, where it is of another kind

    def append(self, record):
        """Take `record`, as the contract says; a stamp is put right at once where the time is known by now."""
        ts = record[1]
        offset = self._clock.offset
        noted = self._noted(self.epoch)
        if offset is None:
            if is_relative(ts) and not noted:
                # it needs room as the reading does; later notes take the place of this one
                if not self._folder._roomy(self._write, self._times + [[self.epoch, None]]):
                    raise OSError(28)  # ENOSPC
                self._settled = False
        elif self._ready() or not noted:
            if is_relative(ts):
                ts += offset - RELATIVE
        elif not is_relative(ts):
            ts += RELATIVE - offset  # the medium takes no note now: in an epoch all are right, or all wait for theirs
        return self._spool.append(record if ts == record[1] else (record[0], ts, record[2]))

    def read(self, after, limit):
        """As the contract says, with true times. OSError(EBUSY) while there are readings whose time is not known."""
        if not self._ready():
            raise OSError(EBUSY, "the time is not known yet")
        entries = self._spool.read(after, limit)
        if self._times:
            for i, (place, record) in enumerate(entries):
                if type(record) is not Gap and is_relative(record[1]):
                    ts = record[1] - RELATIVE + self._offset(place[0])
                    entries[i] = (place, (record[0], ts, record[2]))
        return entries

    def waiting(self):
        """How many records may be sent and were not acknowledged yet (0 while the time is not known)."""
        return self._spool.waiting() if self._ready() else 0

    @property
    def seq(self):
        """The last number given."""
        return self._spool.seq

    def held(self):
        """How many records wait for the time to be known."""
        return 0 if self._ready() else self._spool.waiting()

    # -- times

    def _ready(self):
        """True when every reading can have its time."""
        if not self._settled and self._clock.offset is not None:
            try:
                self._settle()
            except OSError:
                return False  # the disk; it is tried again at the next reading
        return self._settled

    def _settle(self):
        """Give each noted epoch its offset, from the newest to the oldest, and note them."""
        offset = self._clock.offset
        times = [one for one in self._times if one[1] is not None or self._needed(one[0])]
        estimated = 0
        for i in range(len(times) - 1, -1, -1):
            epoch, known = times[i]
            if known is None:
                if epoch != self.epoch:
                    offset -= self._last(epoch) - RELATIVE
                    estimated += 1
                times[i] = [epoch, offset]
            else:
                offset = known
        try:
            self._write(times)
        except OSError:  # the disk is full: sending is what makes room
            self._times = times
        self._settled = True
        self.counters["estimated"] += estimated

    def _last(self, epoch):
        """The last stamp of that epoch, which is a relative one; None when there is no reading of it any more."""
        for segment in reversed([s for s in self._folder._segments if s.epoch == epoch and not s.gap]):
            for number in range(segment.next - 1, segment.first - 1, -1):
                record = self._folder.read((epoch, number - 1), 1)[0][1]
                if type(record) is list and is_relative(record[1]):  # else it cannot be read, or is of another epoch
                    return record[1]
        return None

    def _needed(self, epoch):
        """Whether its note is still of use: of this run, or with readings that need it."""
        return epoch == self.epoch or self._last(epoch) is not None

    def _noted(self, epoch):
        return [1 for one in self._times if one[0] == epoch]

    def _offset(self, epoch):
        for one in self._times:
            if one[0] == epoch:
                return one[1]
        raise ValueError("the outbox's file `times` lacks the epoch %s; move it away, and times are estimated" % epoch)

    def _load(self):
        """What the file `times` says of the epochs that are here; all are to be found if it is not whole."""
        spool = self._folder
        if "times" not in spool._files.listdir(spool._folder):
            return []
        file = spool._files.open(spool._folder + "/times", "rb")
        data = b""
        try:
            piece = file.read(256)  # MicroPython makes a buffer of the size that is asked for
            while piece:
                data += piece
                piece = file.read(256)
        finally:
            file.close()
        here = [self.epoch]  # in RAM, over a deep sleep
        for segment in spool._segments:
            if segment.epoch not in here:
                here.append(segment.epoch)
        try:
            times, check = json.loads(data)
            if check == crc32(json.dumps(times).encode()):
                return [one for one in times if one[0] in here]
        except (ValueError, TypeError):
            check = None
        return [[epoch, None] for epoch in here]

    def _write(self, times):
        times = [list(one) for one in times]
        check = crc32(json.dumps(times).encode())
        self._folder._replace(self._folder._folder + "/times", json.dumps([times, check]).encode())
        self._times = times
        return True
