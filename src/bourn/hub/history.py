"""What one sensor measured over a span of time, from the journal, in as many points as a chart has room for.

The journal is ordered by arrival, which is nearly the order of time: a reading that waited in an outbox comes late.
So the places that a span of time lies between are looked for with PROBES single look-ups that take no order for
granted, and MARGIN of their steps more are read on both sides; what came late is found as long as there are no more
than MOST places to look at. What lies between is read in pages of PAGE places, each a SELECT of its own that gives a
row a bucket: a long one would hold the WAL. Of more than MOST places an even sample of pages is read, and the answer
says so.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any
from urllib.parse import quote

BUCKETS = 400  # points of one answer, at most
PROBES = 256  # look-ups to find where a span of time lies
MARGIN = 8  # steps between look-ups: where one reading in ten is late, eight in a row are one in 10^8
PAGE = 10_000  # places read by one SELECT: a few milliseconds
MOST = 1_000_000  # places read for one answer: a fraction of a second
SAMPLE = 1_000  # places of a page where it is a sample: then there are MOST / SAMPLE of them

_BUCKETS = """
SELECT (ts - :start) / :width, min(val), sum(val), max(val), count(*) FROM reading
WHERE pos > :after AND pos <= :upto AND sensor = :sensor AND stream IN (SELECT id FROM stream WHERE source = :source)
AND ts >= :start AND ts < :end AND typeof(val) <> 'text' GROUP BY 1
"""


def read_history(
    journal: str, source: str, sensor: str, start: int, end: int, buckets: int = BUCKETS
) -> dict[str, Any]:
    """`points`: [[ms since 1970, lowest, mean, highest], ...] of the numbers measured from `start` on and before `end`.

    The time of a point is the middle of its bucket, `bucket_ms` wide; a bucket without a number is left out. `readings`
    is how many there were, of what was looked at; `sampled` is true when that was not all. sqlite3.Error when the
    journal cannot be read. Takes its own connection: call it in a thread.
    """
    width = max(1, -(-(end - start) // max(1, min(buckets, BUCKETS))))
    found: dict[int, list[float]] = {}  # bucket: lowest, sum, highest, count
    uri = "file://" + quote(os.path.realpath(journal)) + "?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
        first, last, cut = _between(db, start, end)
        pages = [(at, min(at + PAGE, last)) for at in range(first, last, PAGE)]
        sampled = cut or last - first > MOST
        if last - first > MOST:
            step = (last - first) / (MOST // SAMPLE)
            pages = [(at := first + int(i * step), at + SAMPLE) for i in range(MOST // SAMPLE)]
        names = {"source": source, "sensor": sensor, "start": start, "end": end, "width": width}
        for after, upto in pages:
            for bucket, low, total, high, count in db.execute(_BUCKETS, {**names, "after": after, "upto": upto}):
                have = found.setdefault(bucket, [low, 0.0, high, 0])
                have[0] = min(have[0], low)
                have[1] += total
                have[2] = max(have[2], high)
                have[3] += count
    return {
        "source": source,
        "sensor": sensor,
        "from": start,
        "to": end,
        "bucket_ms": width,
        "sampled": sampled,
        "readings": sum(int(row[3]) for row in found.values()),
        "points": [
            [start + bucket * width + width // 2, low, total / count, high]
            for bucket, (low, total, high, count) in sorted(found.items())
        ],
    }


def first_time(journal: str) -> int | None:
    """The time of the oldest reading that is still there; None without one."""
    uri = "file://" + quote(os.path.realpath(journal)) + "?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
        row = db.execute("SELECT ts FROM reading ORDER BY pos LIMIT 1").fetchone()
        return None if row is None else int(row[0])


def _between(db: sqlite3.Connection, start: int, end: int) -> tuple[int, int, bool]:
    """The places after the first of which, and up to the second, a reading of that time may be; True: or even later."""
    first, last = db.execute("SELECT min(pos) - 1, max(pos) FROM reading").fetchone()
    if last is None:
        return 0, 0, False
    step = max(1, (last - first) // PROBES)
    probes = []
    for place in range(first + 1, last + 1, step):
        pos, ts = db.execute("SELECT pos, ts FROM reading WHERE pos >= ? ORDER BY pos LIMIT 1", (place,)).fetchone()
        probes.append((pos, ts))
    after = first
    for i, (_, ts) in enumerate(probes):
        if ts >= start:
            after = max(first, probes[max(0, i - MARGIN)][0] - 1)
            break
    else:
        after = max(first, probes[max(0, len(probes) - MARGIN)][0] - 1)
    if last - after <= MOST:
        return after, last, False
    within = [i for i, (_, ts) in enumerate(probes) if ts < end]
    ended = within[-1] + MARGIN if within else 0
    return (after, probes[ended][0], True) if ended < len(probes) else (after, last, False)
