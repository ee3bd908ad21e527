"""What a full segment spool does: its oldest file becomes a Gap. Loaded by the first one that gets full."""

import json

from bourn._compat import const
from bourn.spool.segment_file import GAP, Segment

_ENOSPC = const(28)  # errno, the same on every port


def drop_oldest(spool):
    """Turn the oldest file with records into a Gap in its place; False when there is none."""
    if spool._active is not None:
        spool._close_active()
    if spool._trimmed():
        return True
    i = 0
    while i < len(spool._segments) and spool._segments[i].gap:
        i += 1
    if i == len(spool._segments):
        if not spool._segments:
            return False
        spool.counters["forgotten"] += 1  # only gap files of former epochs are left: the oldest goes
        spool._remove(spool._segments[0])
        return True
    segment = spool._segments[i]
    first = segment.first
    if spool._acked and spool._acked[0] == segment.epoch:
        first = max(first, spool._acked[1] + 1)
    dropped = segment.next - first
    before = spool._segments[i - 1] if i and spool._segments[i - 1].epoch == segment.epoch else None
    if before:
        first = before.first  # one Gap for both
    gap = Segment(segment.path, segment.epoch, first)
    gap.next = segment.next
    gap.gap = "full"
    data = gap.header() + gap.record(GAP, json.dumps((gap.next - 1, gap.gap)).encode())
    gap.size = len(data)
    spool.counters["dropped"] += dropped
    try:
        spool._replace(segment.path, data)
        spool._segments[i] = gap
    except OSError as e:
        if e.args[0] != _ENOSPC:
            raise
        # Not even a Gap fits: room first. If there is none even then, or the power goes between the two, only the
        # reason is lost; that records are missing still shows, since the next file's first number is higher.
        spool._remove(segment)
        spool._replace(segment.path, data)
        spool._segments.insert(i, gap)
    if before:
        spool._remove(before)
    return True
