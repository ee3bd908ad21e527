"""A spool: the one log, ordered, bounded and crash-safe. This file is its contract; the files beside it keep it.

`segments.py` keeps it in append-only files (boards and CPython), `sqlite.py` in a database (the hub), `ram.py` in RAM.
`tests/shared/core/spool_contract.py` holds every promise below as a test that all of them pass.

    append(record) -> place or None
        The record is taken, in order, and gets a place; after the next `sync` it survives a power cut.
        None: it was refused by the policy "drop_newest" or "block"; nothing was stored and `counters` says so.
        ValueError: the record can never be stored (its text says why). OSError: the medium failed; nothing was taken.
    sync()
        When this returns, every record taken so far is on the medium. OSError: it is not, and may be tried again.
    read(after, limit) -> [(place, ...), ...]
        At most `limit` entries of what follows `after` (fewer, and at least one, where they are long), in order and
        without holes: what was dropped stands in its place as one Gap. An entry begins with its place and ends with the
        record (or its last part) or the Gap. `after` is a place, or None for the beginning. What was taken but not
        synced may be left out.
    ack(place, cursor="")
        The reader called `cursor` has everything up to `place` and will never ask for it again. Acks are cumulative;
        an older one changes nothing. After a crash an ack may be forgotten, a record not.
    acked(cursor="") -> place or None
        Where that reader has to go on.
    trim() -> number of records removed
        Removes what every cursor has acknowledged and no retention limit keeps. Nothing else removes records,
        except a policy named when the spool was opened, which leaves a Gap and counts.
    close()
        As `sync`; afterwards the spool may be opened again.
    counters
        A dict of numbers that only grow: appended, refused (by policy), dropped (records lost to Gaps),
        torn (ends of files cut by a crash and left out).

A place is opaque: read gives it, ack and read take it. Places grow in the order of the records.
"""

from collections import namedtuple

# What stands in the place of records that are gone for good: first to last, both included, and one word why:
# "full" (policy drop_oldest), "corrupt" (unreadable), "trimmed" (a retention limit, or unknown to this reader).
Gap = namedtuple("Gap", ("first", "last", "reason"))

POLICIES = ("drop_oldest", "drop_newest", "block")
