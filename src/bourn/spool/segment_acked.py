"""The file `acked` of a segment spool: one place, noted at a close and read at the next open. See docs/formats.md."""

import json

from bourn._compat.system import crc32
from bourn.spool.segment_file import FULL


def pack_place(place):
    """The bytes of the file `acked`, which holds one place. A number that changed there would cost records."""
    epoch, seq = place
    return json.dumps((epoch, seq, crc32(b"%s %d" % (epoch.encode(), seq)))).encode()


def save_place(spool, path):
    """Note in the file `path` what the reader of `spool` has."""
    try:
        spool._replace(path, pack_place(spool._acked))
    except OSError as e:
        if e.args[0] not in FULL:
            raise  # for want of room these acks are forgotten, as by a crash


def load_place(files, path):
    """The place in the file `path`; None when it is not whole."""
    file = files.open(path, "rb")
    try:
        data = file.read(200)
    finally:
        file.close()
    try:
        epoch, seq, _ = json.loads(data)
        return (epoch, seq) if data == pack_place((epoch, seq)) else None
    except (ValueError, TypeError, AttributeError):
        return None
