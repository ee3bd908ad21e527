"""`bourn quarantine`: what could not be stored can be looked at, taken away and removed, with a hub or without."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peer import EPOCH, Peer, data_text, readings, running
from processes import LIMIT_S

from bourn.spool import retention
from bourn.spool.sqlite import SqliteSpool
from bourn.spool.stored import read_quarantine


def bourn(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, over `folder`/j.db."""
    command = [sys.executable, "-m", "bourn.cli", "quarantine", *words, "--journal", "j.db"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def said(folder: Path, *words: str) -> str:
    done = bourn(folder, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


BAD = ('["s",1,1e999]', '["s",1,99999999999999999999]', '["\\u0007",1,5]', '["s",1,"\\ud800"]')


async def poison(hub: Any) -> None:
    """Four that cannot be stored, among others that can."""
    async with await Peer.greeted(hub.url, "s") as peer:
        await peer.send(data_text(1, '["s",0,1]', *BAD, '["s",9,6]'))
        await peer.acked(6)


def test_list_show_export_and_drop_without_a_hub(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as hub:
            await poison(hub)

    asyncio.run(main())
    assert [row[2] for row in readings(tmp_path)] == [1, 6], "the neighbours are stored"
    lines = said(tmp_path, "list").splitlines()
    assert len(lines) == 4 and all(f"s:{EPOCH}:{seq}" in line for seq, line in zip(range(2, 6), lines, strict=True))
    assert "64 bits" in lines[1] and "name" in lines[2]
    exported = [json.loads(line) for line in said(tmp_path, "export").splitlines()]
    assert [one["id"] for one in exported] == [f"s:{EPOCH}:{seq}" for seq in range(2, 6)]
    assert all(one["reason"] and one["raw"] and one["time"].startswith("20") for one in exported)
    place = exported[1]["pos"]
    assert "why    " in (shown := said(tmp_path, "show", str(place))) and exported[1]["raw"] in shown
    missing = bourn(tmp_path, "show", "99")
    assert missing.returncode == 2 and "quarantine list" in missing.stderr
    assert said(tmp_path, "drop", "--upto", str(place)) == "2 dropped\n"
    assert len(said(tmp_path, "list").splitlines()) == 2
    assert said(tmp_path, "drop") == "2 dropped\n"
    empty = bourn(tmp_path, "list")
    assert (empty.returncode, empty.stdout) == (0, "") and "nothing" in empty.stderr
    assert [row[2] for row in readings(tmp_path)] == [1, 6]


def test_list_and_drop_while_a_hub_runs(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as hub:
            await hub.serve_page("127.0.0.1", 0)
            await poison(hub)
            lines = (await asyncio.to_thread(said, tmp_path, "list")).splitlines()
            assert len(lines) == 4
            upto = lines[0].split()[0]
            assert await asyncio.to_thread(said, tmp_path, "drop", "--upto", upto) == "1 dropped\n"
            async with await Peer.greeted(hub.url, "s") as peer:
                await peer.deliver(7)
            assert len(read_quarantine(str(tmp_path / "j.db"))) == 3
            assert hub.status()["journal"]["quarantined"] == 4

    asyncio.run(main())


def test_what_is_dropped_while_a_commit_is_under_way_is_dropped(tmp_path: Path) -> None:
    spool = SqliteSpool(str(tmp_path / "j.db"))
    stream = spool.stream("s", EPOCH)
    spool.take_poison(stream, 1, "bad", "x")
    spool.sync()
    spool.take(stream, [(2, "x", 1, 1)])
    assert spool.insert()
    assert spool.drop_quarantine() == 1  # too late for the transaction that is open
    spool.commit()
    spool.committed()
    assert len(read_quarantine(spool.path)) == 1
    spool.sync()
    assert read_quarantine(spool.path) == []
    spool.close()


def test_poison_its_neighbours_and_how_far_it_is_are_one_transaction(tmp_path: Path) -> None:
    spool = SqliteSpool(str(tmp_path / "j.db"))
    stream = spool.stream("s", EPOCH)
    spool.take(stream, [(1, "x", 1, 1)])
    spool.take_poison(stream, 2, "bad", "x")
    spool.take(stream, [(3, "x", 1, 1)])
    assert spool.insert()
    spool._db.close()  # the process is gone before the commit
    spool._lock_file.close()
    again = SqliteSpool(spool.path)
    assert again.stream("s", EPOCH).last == 0 and again.read(None, 10) == []
    assert read_quarantine(spool.path) == []
    again.close()


def test_the_quarantine_is_bounded_and_says_what_it_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST_QUARANTINED", 10)

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            for first in range(1, 31, 3):
                await peer.send(data_text(first, *[f'["s",0,1e999{"0" * 5}]'] * 3))
                await peer.acked(first + 2)
            assert hub.journal.counters["quarantined"] == 30
            assert hub.journal.counters["quarantine_dropped"] == 20

    asyncio.run(main())
    assert [one.id for one in read_quarantine(str(tmp_path / "j.db"))] == [f"s:{EPOCH}:{n}" for n in range(21, 31)]


def test_a_missing_journal_is_told(tmp_path: Path) -> None:
    for words in (["list"], ["drop"], ["export"]):
        done = bourn(tmp_path, *words)
        assert done.returncode == 2 and "there is no journal" in done.stderr
    assert list(tmp_path.iterdir()) == []
