"""A spool in append-only segment files: for flash and SD cards, on both interpreters.

The files are described in docs/formats.md. In short: a folder of `NNNNNNNN.seg`, each with a header (epoch, first
sequence number, CRC) and records (length, CRC, body). A file is only ever appended to by the open that made it, so a
torn end needs no repair: it is left out when reading, and the next open begins a new file and a new epoch. (A sequence
number used before a power cut must not come back with other data: whoever keeps the first would take the second
for a duplicate.) Writes are sequential; removing happens by whole files; an ack costs no write at all.

A place is `(epoch, seq)`. There is one reader, the cursor "".
"""

import json

from bourn._compat import files as real_files
from bourn._compat.system import PIECE_BYTES, random_bytes
from bourn.spool import POLICIES, Gap
from bourn.spool.segment_file import (
    COUNT_ALL,
    DATA,
    HEADER_BYTES,
    MAX_RECORD,
    RECORD_BYTES,
    Segment,
    write_all,
)


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
        self._files = files or real_files
        self._max_bytes = max_bytes
        self._longest = min(MAX_RECORD, max_bytes // 2)  # a longer record would drop all the others for its room
        self.policy = policy
        self._sync_each = sync_each
        self.epoch = random(8).hex()
        self.seq = 0  # the last number given in this epoch
        self._index = 0  # the last file name given
        self._segments = []  # oldest first; the active one, when there is one, is the last
        self._active = None  # its open file, or None: the next append begins a file
        self._torn = False  # what was written last is not whole: nothing more may go into the active file
        self._dirty = 0  # the number of the first record in it that was not synced
        self._acked = None
        self._reading = None  # (segment, seq, offset): where the last read ended, so that the next need not search
        self.counters = {"appended": 0, "refused": 0, "dropped": 0, "torn": 0, "forgotten": 0}
        self._open()

    # -- the contract

    def append(self, record):
        """Take `record` (JSON array) and return its place; None when it was refused by policy."""
        body = json.dumps(record).encode()
        if len(body) > self._longest:
            raise ValueError("a reading of %d bytes; the limit is %d" % (len(body), self._longest))
        if not self._roomy(self._write, body):
            self.counters["refused"] += 1
            return None
        self.counters["appended"] += 1
        return (self.epoch, self.seq)

    def sync(self):
        """Everything appended is on the medium when this returns."""
        if not self._roomy(self._sync, self._active):
            raise OSError(28)  # ENOSPC

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
                # by their length on average
                limit = min(limit, len(entries) + 1 + PIECE_BYTES * (segment.next - segment.first) // segment.size)
                at, offset = segment.read(self._files, seq, offset, limit, entries)
                if at < segment.next and len(entries) < limit:  # it ends before it should
                    seq = max(at, seq)
                    if self._dirty and segment is self._segments[-1]:
                        self.sync()  # littlefs shows a second reader what is synced, and no more
                        if segment not in self._segments:  # a full disk, and it was the oldest
                            break
                        offset = HEADER_BYTES
                        continue
                    entries.append(((segment.epoch, segment.next - 1), Gap(seq, segment.next - 1, "corrupt")))
                    self.counters["dropped"] += segment.next - max(seq, segment.counted)
                    segment.counted = segment.next
                    at = segment.next
                    offset = HEADER_BYTES  # where `at` stands is not known
                seq = at
            self._reading = (segment, seq, offset)
            if seq >= segment.next:
                i = self._segments.index(segment) + 1
                if i == len(self._segments):
                    break
                following = self._segments[i]
                # the next file of this epoch goes on at `seq`; another epoch begins with its own first
                if following.epoch != segment.epoch:
                    seq = following.first
                segment = following
                offset = HEADER_BYTES
        return entries

    def ack(self, place, cursor=""):
        """The reader has everything up to `place`; files that hold nothing else can be trimmed."""
        if cursor:
            raise ValueError("there is one reader, the cursor ''")
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
            from bourn.spool.segment_acked import save_place

            save_place(self, path)
        elif "acked" in self._files.listdir(self._folder):
            self._files.remove(path)

    # -- what the sender and the page ask for

    def size(self):
        """Bytes in all files."""
        return sum([s.size for s in self._segments])

    def waiting(self):
        """How many records were not acknowledged yet (gaps not counted)."""
        waiting = 0
        epoch, seq = self._acked or ("", 0)
        acked = epoch == self.epoch  # of this epoch, so nothing that is older waits
        for s in reversed(self._segments):
            first = s.first
            if s.epoch == epoch:
                acked = True
                first = max(first, seq + 1)
            elif acked and s.epoch != self.epoch:
                break
            if not s.gap:
                waiting += max(0, s.next - first)
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
                name = name[:-4]
                if name in names:  # never renamed, so never part of the spool
                    files.remove(path)
                    continue
                # FAT removes what a rename replaces, and then renames: the power went between the two. Or it is new
                # and not whole, which its CRC says.
                files.rename(path, path[:-4])
                path = path[:-4]
            if name.endswith(".seg"):
                self._index = int(name[:-4], 16)  # they come sorted
                segment = Segment.load(files, path)
                if segment is None:  # the power went while it was made: nothing was accepted into it
                    self.counters["torn"] += 1
                    files.remove(path)
                else:
                    self._segments.append(segment)
            elif name == "acked":
                from bourn.spool.segment_acked import load_place

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

    def _write(self, body):
        """Append one record to the active file, beginning one where there is none; False when it is to be refused."""
        if not self._room(len(body) + RECORD_BYTES):
            return False
        if self._torn:
            self._close_active()
        if self._active is None:
            self._begin()
        segment = self._segments[-1]
        record = segment.record(DATA, body)
        # Until the last step, whatever happens (a full disk, no memory, Ctrl-C), what reached the file is behind the
        # last record that counts, and the next append begins a new file at the same number.
        self._torn = True
        try:
            write_all(self._active, record)
            if self._sync_each:
                self._files.sync(self._active)
            segment.size += len(record)
            self.seq += 1
            segment.next = self.seq + 1
            if not self._sync_each:
                self._dirty = self._dirty or self.seq
            self._torn = False
        finally:
            if self._torn:
                self._close_active()
        return True

    def _sync(self, file):
        if self._dirty:  # else it is all there, or was dropped to make room
            self._files.sync(file)
            self._dirty = 0
        return True

    def _begin(self):
        self._index += 1
        segment = Segment("%s/%08x.seg" % (self._folder, self._index), self.epoch, self.seq + 1)
        file = self._files.open(segment.path, "wb")
        try:
            write_all(file, segment.header())
            self._files.sync(file)
            self._files.sync_folder(self._folder)
        except OSError:
            file.close()
            self._files.remove(segment.path)
            raise
        self._segments.append(segment)
        self._active = file

    def _close_active(self):
        """Close the active file, once every record that was taken into it is on the medium."""
        unsynced = self._dirty
        self.sync()
        file = self._active
        self._active = None
        if file is not None:  # else it failed to close, or a full disk has cost it at its sync
            file.close()
        if self._torn:
            from bourn.spool.segment_gap import leave_torn

            leave_torn(self, unsynced)

    def _replace(self, path, data):
        """The durable write: beside, synced, renamed over `path`, folder synced."""
        beside = path + ".tmp"
        file = self._files.open(beside, "wb")
        try:
            write_all(file, data)
            self._files.sync(file)
        except OSError:
            file.close()
            self._files.remove(beside)
            raise
        file.close()
        self._files.rename(beside, path)
        self._files.sync_folder(self._folder)

    # -- bounds

    def _roomy(self, do, what):
        """What `do(what)` returns. Where the disk is full before the spool is, the same policy decides."""
        try:
            return do(what)
        except OSError as e:
            from bourn.spool.segment_gap import make_room

            return make_room(self, e, do, what)

    def _room(self, need):
        """Make room for a record of `need` bytes; False when the policy is to refuse it."""
        if self._active is not None and self._segments[-1].size + need > self._segment_bytes:
            self._close_active()
        while self.size() + need + HEADER_BYTES > self._max_bytes:
            if not self._trimmed():
                if self.policy != "drop_oldest":
                    return False
                from bourn.spool.segment_gap import drop_oldest

                if not drop_oldest(self):
                    return False
        return True

    def _trimmed(self):
        """Trim; True if that has made room."""
        files = len(self._segments)
        self.trim()
        return len(self._segments) < files

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
