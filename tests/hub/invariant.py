"""What has to be true after any trouble, told from the journal alone and from what senders know:

acknowledged ⊆ stored ⊆ sent, no identity twice, the order of every source kept, data and gaps cover every stream
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Identity = tuple[str, str, int]  # source, epoch, seq


def check_journal(
    path: Path | str,
    acknowledged: Mapping[tuple[str, str], int] | None = None,
    sent: Mapping[Identity, Any] | Iterable[Identity] | None = None,
) -> dict[Identity, Any]:
    """What is stored, by identity; AssertionError naming the first thing that is not as it has to be.

    `acknowledged`: the last number acknowledged of each (source, epoch). `sent`: all that was ever sent, with its value
    where that is known.
    """
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "the file is damaged"
        rows = db.execute("SELECT pos, stream, seq, val FROM reading ORDER BY pos").fetchall()
        gaps = db.execute("SELECT pos, stream, first, last FROM gap ORDER BY pos").fetchall()
        poison = db.execute("SELECT pos, stream, seq FROM quarantine ORDER BY pos").fetchall()
        streams = {id: (s, e, last, cut) for id, s, e, last, cut in db.execute(
            "SELECT id, source, epoch, last, trimmed FROM stream")}  # fmt: skip
        meta = dict(db.execute("SELECT key, value FROM meta"))
    assert meta["rows"] == len(rows), "the counter of readings is wrong"
    assert max([row[0] for row in [*rows, *gaps, *poison]], default=0) <= meta["pos"], "a place may be given twice"
    stored: dict[Identity, Any] = {}
    covered: dict[int, list[tuple[int, int]]] = {id: [] for id in streams}
    order: dict[int, int] = {}
    for _, id, seq, val in rows:
        source, epoch, *_ = streams[id]
        assert (source, epoch, seq) not in stored, f"{source}:{epoch}:{seq} is there twice"
        assert seq > order.get(id, 0), f"{source}:{epoch}:{seq} is out of order"
        order[id] = seq
        stored[source, epoch, seq] = val
        covered[id].append((seq, seq))
    for _, id, first, last in gaps:
        covered[id].append((first, last))
    for _, id, seq in poison:
        covered[id].append((seq, seq))
    for id, (source, epoch, last, trimmed) in streams.items():
        at = trimmed
        for first, upto in sorted(covered[id]):
            assert first == at + 1 or upto <= trimmed, f"{source}:{epoch}: not covered, or twice, after {at}"
            at = max(at, upto)
        assert at == last, f"{source}:{epoch}: covered up to {at}, known up to {last}"
    ends = {(source, epoch): last for source, epoch, last, _ in streams.values()}
    for (source, epoch), number in (acknowledged or {}).items():
        assert ends.get((source, epoch), 0) >= number, f"{source}:{epoch}:{number} was acknowledged and is lost"
    if sent is not None:
        known = sent if isinstance(sent, Mapping) else dict.fromkeys(sent)
        for identity, val in stored.items():
            assert identity in known, f"{identity} was never sent"
            assert known[identity] is None or known[identity] == val, f"{identity} holds {val}"
    return stored
