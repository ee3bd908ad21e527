"""What a segment spool does when it is full, or a write failed. Loaded by the first one that needs it."""

import json

from bourn._compat import const
from bourn.spool.segment_file import COUNT_ALL, FULL, GAP, HEADER_BYTES, Segment

_DROPS = const(4)  # files at most that one record may cost on a full disk: what was torn there may be short


def make_room(spool, e, do, what):
    """What `do(what)` returns, once there is room for it, where it has failed by `e`; False if the policy is another.

    OSError: `e`, where it was something else, or no room all the same.
    """
    for _ in range(_DROPS):
        if e.args[0] not in FULL:
            raise e
        if spool.policy != "drop_oldest":
            return False
        if not drop_oldest(spool):
            raise e
        try:
            return do(what)
        except OSError as another:
            e = another
    raise e


def drop_oldest(spool):
    """Turn the oldest file with records into a Gap in its place; False when there is none."""
    if spool._trimmed():
        return True
    if spool._active is not None and not [1 for s in spool._segments[:-1] if not s.gap]:
        spool._dirty = 0  # none of it is wanted any more
        spool._close_active()
        if spool._trimmed():
            return True
    i = size = 0
    while i < len(spool._segments) and spool._segments[i].gap:
        size += spool._segments[i].size
        i += 1
    if i == len(spool._segments) or size > spool._max_bytes // 4:
        if not spool._segments:
            return False
        # Gap files, of former epochs all but one, would take the room of readings: the oldest goes.
        spool.counters["forgotten"] += 1
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
    try:
        spool._replace(segment.path, data)
        spool._segments[i] = gap
        spool.counters["dropped"] += dropped
    except OSError as e:
        if e.args[0] not in FULL:
            raise
        # Not even a Gap fits: room first. If there is none even then, or the power goes between the two, only the
        # reason is lost; that records are missing still shows, since the next file's first number is higher.
        spool._remove(segment)
        spool.counters["dropped"] += dropped
        try:
            spool._replace(segment.path, data)
        except OSError as e:
            if e.args[0] not in FULL:
                raise
            spool.counters["forgotten"] += 1
            return True
        spool._segments.insert(i, gap)
    if before:
        spool._remove(before)
    return True


def leave_torn(spool, unsynced):
    """The last file is closed, and its end is not whole. OSError: what is in it from the number `unsynced` on is gone.

    Some versions of littlefs give up after a failed write what was not synced before it, and say nothing of that.
    """
    segment = spool._segments[-1]
    gone = False
    if unsynced:
        kept = max(unsynced, segment.read(spool._files, segment.first, HEADER_BYTES, COUNT_ALL, None)[0])
        gone = kept < segment.next
        if gone:  # nobody was shown it: a reader sees there what is synced
            segment.next = kept
            spool.seq = kept - 1
    spool._torn = False
    if segment.next == segment.first:
        spool._remove(segment)
    else:
        segment.size = spool._files.size(segment.path)
        spool.counters["torn"] += 1
    if gone:
        raise OSError(5, "the flash has given up what was not synced")  # EIO
