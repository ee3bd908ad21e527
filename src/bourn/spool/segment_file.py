"""One file of a segment spool: a header, then records. The format is described in docs/formats.md.

    header  4 bytes "BRN1" | 8 bytes epoch | u64 first seq | u32 CRC-32 of these
    record  u32 length of what follows the CRC | u32 CRC-32 | u8 kind | JSON

Integers are big-endian. A record's CRC begins with the CRC of its epoch, so that a stale block of another file is
never taken for data.
"""

import json
import struct

from bourn._compat import const
from bourn._compat.system import crc32
from bourn.spool import Gap

MAGIC = b"BRN1"
_HEADER = ">4s8sQ"
HEADER_BYTES = const(24)
RECORD_BYTES = const(9)  # what a record takes beside its JSON
COUNT_ALL = 1 << 62  # more than any file holds
MAX_RECORD = const(65536 - 256)  # bytes of one record as JSON: it has to fit a wire frame
FULL = (28, 36)  # ENOSPC; littlefs calls it ENAMETOOLONG where it has no room for one more name
_BLOCK = const(512)  # bytes read at once; a longer record is read whole
DATA = const(68)  # "D": the JSON is the record
GAP = const(71)  # "G": the JSON is [last, reason]; such a record is alone in its file


class Segment:
    """What is known of one file; `next` is one more than the number of its last record."""

    def __init__(self, path, epoch, first):
        self.path = path
        self.epoch = epoch  # 16 hex digits
        self.first = first
        self.next = first
        self.size = HEADER_BYTES
        self.gap = None  # the reason, when this file stands for records that were dropped
        self.counted = 0  # lost records before this number were counted
        self._seed = crc32(bytes.fromhex(epoch))

    @staticmethod
    def load(files, path):
        """The segment in the file `path` as its header tells it (`next` only for a gap); None if the header is torn.

        ValueError if it is of another version.
        """
        size = files.size(path)
        file = files.open(path, "rb")
        try:
            data = file.read(HEADER_BYTES + 256)
        finally:
            file.close()
        if len(data) < HEADER_BYTES:
            return None
        head = data[: HEADER_BYTES - 4]
        magic, epoch, first = struct.unpack(_HEADER, head)
        if struct.unpack(">I", data[HEADER_BYTES - 4 : HEADER_BYTES])[0] != crc32(head):
            return None
        if magic != MAGIC:
            raise ValueError("%s was written by a newer Bourn; update this one, or move the file away" % path)
        segment = Segment(path, epoch.hex(), first)
        segment.size = size
        body = segment._record_at(data, HEADER_BYTES)
        if body and body[0] == GAP:
            last, segment.gap = json.loads(body[1:])
            segment.next = last + 1
        return segment

    def header(self):
        """The bytes a file of this segment begins with."""
        head = struct.pack(_HEADER, MAGIC, bytes.fromhex(self.epoch), self.first)
        return head + struct.pack(">I", crc32(head))

    def record(self, kind, body):
        """The bytes of one record; `body` is JSON as bytes."""
        data = bytes((kind,)) + body
        return struct.pack(">II", len(data), crc32(data, self._seed)) + data

    def read(self, files, seq, offset, limit, entries):
        """Add the records from `seq` on to `entries`, up to `limit` of them; returns the seq and offset that follow.

        `offset` is where `seq` stands, or the header's end, from where it is searched. With `entries` None the records
        are only counted. A record that is torn or not sound ends the reading.
        """
        at = seq if offset > HEADER_BYTES else self.first
        file = files.open(self.path, "rb")
        try:
            file.seek(offset)
            data = file.read(_BLOCK)
            start = 0
            while at < self.next and (entries is None or len(entries) < limit):
                body = self._record_at(data, start)
                if body is None:  # perhaps only cut by the block: read on from here, the whole record if it is long
                    if len(data) - start < 4:  # not even its length is here
                        file.seek(offset)
                        data = file.read(4)
                        start = 0
                    length = struct.unpack(">I", data[start : start + 4])[0] if len(data) - start >= 4 else 0
                    file.seek(offset)
                    start = 0
                    # no more than there is: a length that is not sound must not cost a board its memory
                    data = file.read(max(_BLOCK, min(length + RECORD_BYTES, self.size - offset)))
                    body = self._record_at(data, start)
                    if body is None:
                        break
                if entries is not None and at >= seq:
                    try:
                        entries.append(((self.epoch, at), json.loads(body[1:])))
                    except ValueError:  # sound, and no JSON: it was no JSON value that was appended
                        entries.append(((self.epoch, at), Gap(at, at, "corrupt")))
                at += 1
                start += len(body) + 8
                offset += len(body) + 8
        finally:
            file.close()
        return at, offset

    def _record_at(self, data, start):
        """The kind and JSON of the record at `start` of `data`; None when it is not whole there or not sound."""
        if len(data) - start < RECORD_BYTES:
            return None
        length, crc = struct.unpack(">II", data[start : start + 8])
        if not 1 <= length <= MAX_RECORD + 1 or len(data) - start < 8 + length:
            return None
        body = data[start + 8 : start + 8 + length]
        return body if crc32(body, self._seed) == crc else None


def write_all(file, data):
    """Write `data`; OSError where some of it has no room."""
    if file.write(data) != len(data):
        raise OSError(FULL[0], "no space left")
