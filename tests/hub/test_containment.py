"""What nobody has foreseen ends one link, is told, and leaves the hub at work; and it never dies without a word."""

import asyncio
import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from peer import EPOCH, Peer, data, readings, running
from test_connections import true

from bourn import wire
from bourn.hub import ingest
from bourn.hub.hub import Hub
from bourn.hub.keys import KeysError


def test_a_link_whose_journal_cannot_be_asked_leaves_nothing_to_the_others(tmp_path: Path) -> None:
    """All links share one decoder: the rest of a frame that is left in it would be the beginning of another's."""

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "good") as good:
            whole = hub.journal.stream

            def broken(source: str, epoch: str) -> Any:
                if source == "bad":
                    raise sqlite3.OperationalError("disk I/O error")
                return whole(source, epoch)

            hub.journal.stream = broken  # type: ignore[method-assign]  # the real one, made to fail
            async with await Peer.connect(hub.url) as bad:
                await bad.send(wire.encode(wire.HELLO, "bad", EPOCH, 1, {}) + data(1, 1)[:-5])
                code, text = await bad.expect(wire.REFUSE)
                assert code == "internal" and "disk I/O error" in text
                await good.deliver(1, 2, 3)
            assert hub.ingest.refusals["internal"] == 1
            assert not hub.ingest.decoder.unfinished()

    asyncio.run(main())
    assert len(readings(tmp_path)) == 3


def test_a_transport_that_fails_at_an_ack_ends_its_link_alone(tmp_path: Path) -> None:
    class Broken:
        """As the real one, but for writing."""

        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def write(self, data: bytes) -> None:
            raise RuntimeError("nobody thought of this")

    async def main() -> None:
        async with (
            running(tmp_path, network_in_flight=5) as hub,
            await Peer.greeted(hub.url, "a") as a,
            await Peer.greeted(hub.url, "b") as b,
        ):
            await a.send(wire.encode(wire.WANT, 5))
            assert await a.expect(wire.CREDIT) == [5]
            link = next(one for one in hub.ingest.links if one.source == "a")
            link._transport = Broken(link._transport)  # type: ignore[assignment]  # likewise
            await a.send(data(1, 1, 2, 3, 4, 5))
            await true(lambda: link not in hub.ingest.links, "it is still there")
            assert "nobody thought of this" in hub.ingest.errors[-1]["text"]
            await b.deliver(1, 2, 3, 4, 5)  # with the credit that `a` had
            await b.deliver(6, 7)

    asyncio.run(main())
    assert sorted(row[:3] for row in readings(tmp_path)) == [
        *[("a", EPOCH, n) for n in range(1, 6)],
        *[("b", EPOCH, n) for n in range(1, 8)],
    ]


def test_a_file_of_keys_that_cannot_be_looked_at_is_told_and_the_hub_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "TICK_S", 0.01)
    keys = tmp_path / "j.db.keys"

    async def main() -> None:
        async with running(tmp_path) as hub:
            os.symlink(keys, keys)  # ELOOP; a missing permission is the same, but not for root
            await true(lambda: any("cannot be read" in e["text"] for e in hub.ingest.errors), "nobody says so")
            keys.unlink()
            ticks = hub.ingest._timer
            await true(lambda: hub.ingest._timer is not ticks, "it ticks no more")
            async with await Peer.greeted(hub.url, "s") as peer:
                await peer.deliver(1)

    asyncio.run(main())
    os.symlink(keys, keys)
    with pytest.raises(KeysError, match="cannot be read"):
        Hub(str(tmp_path / "j.db"))
    keys.unlink()
    Hub(str(tmp_path / "j.db")).journal.close()  # it had let go of the journal


def test_an_ingest_that_ends_by_itself_is_told_and_everything_is_closed_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        hub = Hub(str(tmp_path / "j.db"))
        got: list[Any] = []
        await hub.start()
        hub.roster.add_url("memory:")

        def broken() -> None:
            got.append(1)
            raise MemoryError("no more")

        hub.ingest._acknowledge = broken  # type: ignore[method-assign]  # the real one, made to fail
        async with await Peer.greeted(hub.url, "s") as peer:
            await peer.send(data(1, 1))
            await true(lambda: "start the hub again" in (hub.ingest.trouble(0.0) or ""), "nobody says so")
        await hub.stop()
        assert got and not hub.drivers[0].alive

    with caplog.at_level(logging.ERROR, "bourn.hub"):
        asyncio.run(main())
    assert "nothing is stored any more" in caplog.text
    Hub(str(tmp_path / "j.db")).journal.close()
