"""What may go into an outbox, and what of it goes into the next DATA frame."""

import json

import bourn.wire as wire  # noqa: PLR0402 - MicroPython loads names.py for `from bourn`: 2.5 KB
from bourn._compat.system import PIECE_BYTES
from bourn.spool import Gap


def check_reading(sensor, ts, val):
    """ValueError, saying why, unless a hub can store this reading."""
    if not wire.sensor_ok(sensor):
        raise ValueError("a sensor's name is made of A-Z a-z 0-9 _ . - : / (1 to 64), not %r" % (sensor,))
    if not isinstance(ts, int):
        raise ValueError("the time of a reading is integer milliseconds since 1970, not %r" % (ts,))
    wire.check_value(ts)
    wire.check_value(val)


def data_frame(entries):
    """(frame, place of its last reading, how many) of as many of `entries` as fit, all of one epoch.

    How many is 0 where the first of them is too long for any frame.
    """
    epoch, first = entries[0][0]
    t0 = entries[0][1][1]
    pieces: list[bytes] = []
    size = 0
    last = None
    for place, record in entries:
        if place[0] != epoch or isinstance(record, Gap):
            break
        piece = json.dumps((record[0], record[1] - t0, record[2]), separators=(",", ":")).encode()
        if len(piece) > wire.MAX_READING:  # written by an interpreter that says it in fewer bytes
            break
        if pieces and size + len(piece) > PIECE_BYTES:  # a longer one goes alone
            break
        pieces.append(piece)
        size += len(piece) + 1
        last = place
    if not pieces:
        return b"", None, 0
    return wire.encode_body(wire.DATA, b"[%d,%d,[" % (first, t0) + b",".join(pieces) + b"]]"), last, len(pieces)
