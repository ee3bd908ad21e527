"""A spool in append-only segment files: for flash and SD cards, on both interpreters.

The files are described in docs/formats.md. In short: a folder of `NNNNNNNN.seg`, each with a header (epoch, first
sequence number, CRC) and records (length, CRC, body). A file is only ever appended to by the open that made it, so a
torn end needs no repair: it is left out when reading, and the next open begins a new file and a new epoch. (A sequence
number used before a power cut must not come back with other data: whoever keeps the first would take the second
for a duplicate.) Writes are sequential; removing happens by whole files; an ack costs no write at all.

A place is `(epoch, seq)`. There is one reader, the cursor "".
"""

import json

from bourn._compat import const
from bourn._compat.files import Files
from bourn._compat.system import random_bytes
from bourn.spool import POLICIES, Gap
from bourn.spool.segment_file import DATA, HEADER_BYTES, MAX_RECORD, RECORD_BYTES, Segment, load_place, pack_place

_ENOSPC = const(28)  # errno, the same on every port
COUNT_ALL = 1 << 62  # more than any file holds


class SegmentSpool:
    """The spool contract over a folder; a record is on the medium when `append` returns, or `sync` (`sync_each=False`).

    At most `max_bytes` of files; when they are full, `policy` is "drop_oldest" (a file at a time, leaving a Gap),
    or "drop_newest" or "block" (`append` returns None; the difference is what the caller does then).
    """

    def __init__(
        self,
        folder,
        files=None,
        max_bytes=1 << 20,
        segment_bytes=None,
        policy="drop_oldest",
        sync_each=True,
        random=random_bytes,
    ):
        if policy not in POLICIES:
            raise ValueError("policy must be one of %s, not %r" % (", ".join(POLICIES), policy))
        self._segment_bytes = segment_bytes or max(1024, max_bytes // 16)
        if max_bytes < 2 * self._segment_bytes:
            raise ValueError("max_bytes must hold at least two segments of %d bytes" % self._segment_bytes)
        self._folder = folder
        self._files = files or Files()
        self._max_bytes = max_bytes
        self._longest = min(MAX_RECORD, max_bytes // 2)  # a longer record would drop all the others for its room
        self.policy = policy
        self._sync_each = sync_each
        self.epoch = random(8).hex()
        self.seq = 0  # the last number given in this epoch
        self._index = 0  # the last file name given
        self._segments = []  # oldest first; the active one, when there is one, is the last
        self._active = None  # its open file, or None: the next append begins a file
        self._acked = None
        self._reading = None  # (segment, seq, offset): where the last read ended, so that the next need not search
        self.counters = {"appended": 0, "refused": 0, "dropped": 0, "torn": 0, "forgotten": 0}
        self._open()

    # -- the contract

    def append(self, record):
        """Take `record` (JSON array) and return its place; None when it was refused by policy."""
        body = json.dumps(record).encode()
        if len(body) > self._longest:
            raise ValueError("a reading of %d bytes; the limit here is %d" % (len(body), self._longest))
        need = len(body) + RECORD_BYTES
        try:
            taken = self._room(need) and self._write(DATA, body)
        except OSError as e:
            # The disk is full before the spool is: the same policy decides.
            if e.args[0] != _ENOSPC or (self.policy == "drop_oldest" and not self._drop_oldest()):
                raise
            taken = self.policy == "drop_oldest" and self._write(DATA, body)
        if not taken:
            self.counters["refused"] += 1
            return None
        self.seq += 1
        self._segments[-1].next = self.seq + 1
        self.counters["appended"] += 1
        return (self.epoch, self.seq)

    def sync(self):
        """Everything appended is on the medium when this returns."""
        if self._active is not None:
            self._files.sync(self._active)

    def read(self, after, limit):
        """At most `limit` of what follows the place `after` (None: the beginning), as [(place, record or Gap), ...]."""
        entries = []
        segment, seq, offset = self._locate(after)
        while segment is not None and len(entries) < limit:
            if segment.gap:
                entries.append(((segment.epoch, segment.next - 1), Gap(seq, segment.next - 1, segment.gap)))
                seq = segment.next
            elif seq < segment.first:
                entries.append(((segment.epoch, segment.first - 1), Gap(seq, segment.first - 1, "trimmed")))
                seq = segment.first
                offset = HEADER_BYTES
            else:
                at, offset = segment.read(self._files, seq, offset, limit, entries)
                if at < segment.next and len(entries) < limit:  # it ends before it should
                    seq = max(at, seq)
                    entries.append(((segment.epoch, segment.next - 1), Gap(seq, segment.next - 1, "corrupt")))
                    self.counters["dropped"] += segment.next - max(seq, segment.counted)
                    segment.counted = segment.next
                    at = segment.next
                    offset = HEADER_BYTES  # where `at` stands is not known
                seq = at
            self._reading = (segment, seq, offset)
            if seq >= segment.next:
                following = self._after(segment)
                if following is None:
                    break
                # the next file of this epoch goes on at `seq`; another epoch begins with its own first
                if following.epoch != segment.epoch:
                    seq = following.first
                segment = following
                offset = HEADER_BYTES
        return entries

    def ack(self, place, cursor=""):
        """The reader has everything up to `place`; files that hold nothing else can be trimmed."""
        if cursor:
            raise ValueError("a segment spool has one reader, the cursor ''")
        if self._acked is None or self._later(place, self._acked):
            self._acked = place

    def acked(self, cursor=""):
        """The place up to which the reader has everything, or None."""
        return self._acked

    def trim(self):
        """Remove the files whose every record was acknowledged; returns the number of records removed."""
        removed = 0
        while self._segments and self._covered(self._segments[0]):
            segment = self._segments[0]
            if self._active is not None and len(self._segments) == 1:
                break
            if not segment.gap:
                removed += segment.next - segment.first
            self._remove(segment)
        return removed

    def close(self):
        """Sync, note what was acknowledged, and close the files."""
        if self._active is not None:
            self._close_active()
        self.trim()
        path = self._folder + "/acked"
        if self._segments and self._acked:
            try:
                self._replace(path, pack_place(self._acked))
            except OSError as e:
                if e.args[0] != _ENOSPC:
                    raise  # for want of room these acks are forgotten, as by a crash
        elif "acked" in self._files.listdir(self._folder):
            self._files.remove(path)

    # -- what the sender and the page ask for

    def size(self):
        """Bytes in all files."""
        return sum([s.size for s in self._segments])

    def waiting(self):
        """How many records were not acknowledged yet (gaps not counted)."""
        waiting = 0
        for s in self._segments:
            if not s.gap and not self._covered(s):
                first = s.first
                if self._acked and self._acked[0] == s.epoch:
                    first = max(first, self._acked[1] + 1)
                waiting += s.next - first
        return waiting

    # -- opening

    def _open(self):
        files = self._files
        try:
            names = files.listdir(self._folder)
        except OSError:  # it is not there yet; if it is something else, the next line says so
            from bourn._compat.folders import make_folder

            make_folder(self._folder)
            names = files.listdir(self._folder)
        for name in names:
            path = self._folder + "/" + name
            if name.endswith(".tmp"):
                files.remove(path)  # never renamed, so never part of the spool
            elif name.endswith(".seg"):
                self._index = max(self._index, int(name[:-4], 16))
                segment = Segment.load(files, path)
                if segment is None:  # the power went while it was made: nothing was accepted into it
                    self.counters["torn"] += 1
                    files.remove(path)
                else:
                    self._segments.append(segment)
            elif name == "acked":
                self._acked = load_place(files, path)  # None: then what it named is sent again, and trimmed there
        for i, segment in enumerate(self._segments):
            following = self._segments[i + 1] if i + 1 < len(self._segments) else None
            if segment.gap:
                continue
            if following and following.epoch == segment.epoch:
                segment.next = following.first  # whatever is missing before it is a gap, found when it is read
            else:
                segment.next = COUNT_ALL
                segment.next, end = segment.read(files, segment.first, HEADER_BYTES, COUNT_ALL, None)
                if end < segment.size:
                    self.counters["torn"] += 1
        for segment in self._segments[:]:
            if segment.next == segment.first:  # begun, and nothing was accepted into it
                self._remove(segment)

    # -- reading

    def _after(self, segment):
        i = self._segments.index(segment) + 1
        return self._segments[i] if i < len(self._segments) else None

    def _locate(self, after):
        """The (segment, seq, offset) at which what follows `after` begins; segment None when nothing does."""
        if not self._segments:
            return None, 0, 0
        if after is None:
            return self._segments[0], self._segments[0].first, HEADER_BYTES
        epoch, seq = after
        seq += 1
        if self._reading:
            segment, at, offset = self._reading
            if segment in self._segments and segment.epoch == epoch and at == seq < segment.next:
                return segment, seq, offset
        found = None  # the first segment that holds something later
        known = False
        for s in self._segments:
            if s.epoch == epoch:
                known = True
                if found is None and s.next > seq:
                    found = s
            elif known and found is None:
                found = s
        if not known and epoch != self.epoch:  # all files of that epoch are gone, so everything here is later
            found = self._segments[0]
        if found is None:
            return None, 0, 0
        if found.epoch != epoch:
            return found, found.first, HEADER_BYTES
        # a gap file may overlap what was read before it was dropped: it then begins where the reader is
        return found, seq, HEADER_BYTES

    # -- writing

    def _write(self, kind, body):
        """Append one record to the active file, beginning one where there is none; True when it is there."""
        if self._active is None:
            self._begin()
        segment = self._segments[-1]
        record = segment.record(kind, body)
        try:
            if self._active.write(record) != len(record):
                raise OSError(_ENOSPC, "no space left")
            if self._sync_each:
                self._files.sync(self._active)
        except OSError:
            # What reached the file is behind the last record that counts. The next append begins a new file at the
            # same number, so that this end is never read as data.
            self._abandon()
            raise
        segment.size += len(record)
        return True

    def _begin(self):
        segment = self._new_segment(self.epoch, self.seq + 1)
        file = self._files.open(segment.path, "wb")
        try:
            if file.write(segment.header()) != HEADER_BYTES:
                raise OSError(_ENOSPC, "no space left")
            self._files.sync(file)
            self._files.sync_folder(self._folder)
        except OSError:
            file.close()
            self._files.remove(segment.path)
            raise
        self._segments.append(segment)
        self._active = file

    def _new_segment(self, epoch, first):
        self._index += 1
        return Segment("%s/%08x.seg" % (self._folder, self._index), epoch, first)

    def _abandon(self):
        self._active.close()
        self._active = None
        segment = self._segments[-1]
        if segment.next == segment.first:
            self._remove(segment)
        else:
            segment.size = self._files.size(segment.path)
            self.counters["torn"] += 1

    def _close_active(self):
        self._files.sync(self._active)
        self._active.close()
        self._active = None

    def _replace(self, path, data):
        """The durable write: beside, synced, renamed over `path`, folder synced."""
        beside = path + ".tmp"
        file = self._files.open(beside, "wb")
        try:
            if file.write(data) != len(data):
                raise OSError(_ENOSPC, "no space left")
            self._files.sync(file)
        except OSError:
            file.close()
            self._files.remove(beside)
            raise
        file.close()
        self._files.rename(beside, path)
        self._files.sync_folder(self._folder)

    # -- bounds

    def _room(self, need):
        """Make room for a record of `need` bytes; False when the policy is to refuse it."""
        if self._active is not None and self._segments[-1].size + need > self._segment_bytes:
            self._close_active()
        while self.size() + need + HEADER_BYTES > self._max_bytes:
            if not self._trimmed() and (self.policy != "drop_oldest" or not self._drop_oldest()):
                return False
        return True

    def _trimmed(self):
        """Trim; True if that has made room."""
        files = len(self._segments)
        self.trim()
        return len(self._segments) < files

    def _drop_oldest(self):
        """Turn the oldest file with records into a Gap in its place; False when there is none."""
        from bourn.spool.segment_gap import drop_oldest

        return drop_oldest(self)

    def _remove(self, segment):
        self._files.remove(segment.path)
        self._segments.remove(segment)

    # -- acks

    def _rank(self, epoch):
        """A number that grows with the age order of epochs; -1 for one of which nothing is left: older than all."""
        if epoch == self.epoch:
            return 1 << 30
        for i, segment in enumerate(self._segments):
            if segment.epoch == epoch:
                return i
        return -1

    def _later(self, place, than):
        return (self._rank(place[0]), place[1]) > (self._rank(than[0]), than[1])

    def _covered(self, segment):
        """True when everything in `segment` was acknowledged."""
        return self._acked is not None and not self._later((segment.epoch, segment.next - 1), self._acked)
