"""A board that was offline drains what it has into a hub that takes a thousand at once, in the heap of its kit."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from test_kits import boards, hub, kits, run_kit

__all__ = ("kits",)

PROGRAM = """
from bourn._compat.system import collect_early
from bourn.device.sender import Sender
from bourn.device.connections import tcp
from bourn.spool.ram import RamFirst
from bourn.spool.segments import SegmentSpool

def run(url, count, length, ram):
    collect_early()
    spool = SegmentSpool("outbox", max_bytes=1 << 17, sync_each=False)
    if ram:
        spool = RamFirst(spool, ram)
    sender = Sender(url, "kit", spool)
    for i in range(count):
        sender.on_next(("greenhouse/t1", 1800000000000 + i * 60000, "x" * length if length else i))
    sender.drain(60000)
    print(sender.counters["acked"], sender.counters["failures"], sender.counters["lost"], sender.last_error)
    sender.close()
"""


@pytest.mark.parametrize(
    ("count", "length", "ram", "heap"), [(1500, 0, 0, "64k"), (1500, 0, 50, "88k"), (70, 1000, 0, "64k")]
)
def test_a_backlog_is_sent(kits: Path, tmp_path: Path, count: int, length: int, ram: int, heap: str) -> None:
    source = tmp_path / "backlog.py"
    source.write_text(PROGRAM)
    (kits / "backlog.mpy").write_bytes(boards.compiled(source, source.name))
    with hub(tmp_path) as url:
        _, said = run_kit(kits, tmp_path, "backlog", heap, url, count, length, ram)
    assert (said[0], said[2]) == (str(count), "0") and int(said[1]) < 10, said
    with contextlib.closing(sqlite3.connect(tmp_path / "bourn.db")) as base:
        times = [at for (at,) in base.execute("select ts from reading order by pos")]
    assert times == [1800000000000 + i * 60000 for i in range(count)]
