"""What nobody has foreseen ends one link, is told, and leaves the hub at work; and it never dies without a word."""

import asyncio
import contextlib
import logging
import os
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from peer import EPOCH, Gate, Peer, data, readings, running
from test_connections import true

from bourn import wire
from bourn.device.connections.shared_memory import open_link
from bourn.hub import hub as hub_module
from bourn.hub import ingest
from bourn.hub.hub import Hub
from bourn.hub.keys import KeysError
from bourn.hub.link import Link
from bourn.spool.sqlite import Limits


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
            assert not hub.ingest.decoder.rest

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


def test_shared_memory_that_is_turned_away_leaves_nothing_behind(tmp_path: Path) -> None:
    """A reader left on a descriptor that is closed: whoever gets its number next cannot be read from."""
    urls = ["tcp://127.0.0.1:0", f"shm:{tmp_path}/m.sock"]

    async def main() -> None:
        async with running(tmp_path, listen_url=urls) as hub, await Peer.greeted(hub.url, "s") as peer:
            hub.ingest.max_links = 1
            hub.ingest.max_farewells = 0  # all are closed at once
            loop: Any = asyncio.get_running_loop()
            watched = len(loop._selector.get_map())
            strangers = []
            for _ in range(5):
                stranger = socket.socket(socket.AF_UNIX)
                stranger.setblocking(False)
                await asyncio.get_running_loop().sock_connect(stranger, f"{tmp_path}/m.sock")
                strangers.append(stranger)
            await true(lambda: hub.ingest.refusals["full"] == len(strangers), "all are turned away")
            await asyncio.sleep(0.05)
            for stranger in strangers:
                stranger.close()
            assert len(loop._selector.get_map()) == watched, "something closed is still watched"
            await peer.deliver(1)

    asyncio.run(main())


def test_shared_memory_that_comes_while_nothing_is_read_waits_as_well(tmp_path: Path) -> None:
    async def main() -> None:
        urls = ["tcp://127.0.0.1:0", f"shm:{tmp_path}/m.sock"]
        async with (
            running(tmp_path, listen_url=urls, limits=Limits(bytes=8 << 20)) as hub,
            await Peer.greeted(hub.url, "t") as peer,
        ):
            gate = Gate(hub)
            gate.shut()
            await peer.send(data(1, 1))
            await gate.closed_on_someone()
            await peer.send(*[data(n, "x" * 60_000) for n in range(2, 8)])
            await true(lambda: hub.ingest.held, "nothing more is read")
            before = set(hub.ingest.links)
            channel: Any = open_link(urls[1])
            await true(lambda: hub.ingest.links - before, "it is let in")
            with contextlib.suppress(BlockingIOError):
                channel.recv(1)
            channel.send(wire.encode(wire.HELLO, "s", EPOCH, 1, {}))
            for _ in range(20):
                await asyncio.sleep(0.005)
            (link,) = hub.ingest.links - before
            assert link.source is None, "it is heard although nothing is to be taken in"
            gate.open()
            await true(lambda: link.source == "s", "it is heard when there is room")
            channel.close()

    asyncio.run(main())


def test_links_that_go_on_are_stopped_again_as_soon_as_it_is_too_much(tmp_path: Path) -> None:
    """Some have kept what came, and hand it over at once when they may go on: those after them have to wait still."""

    class Eager(Link):
        __slots__ = ("paused", "taken")

        def pause(self) -> None:
            self.paused = True

        def resume(self) -> None:
            self.paused = False
            stream = self.ingest.journal.stream(f"s{id(self)}", EPOCH)
            row = (stream.last + 1, "x", 1, "y")
            self.ingest.take(self, stream, [row], row[0], 1, False, 1 << 20)

    async def main() -> None:
        async with running(tmp_path, limits=Limits(bytes=8 << 20)) as hub:
            links = [Eager(hub.ingest) for _ in range(5)]
            gate = Gate(hub)
            gate.shut()
            hub.ingest.links.update(links)
            links[0].resume()
            assert hub.ingest.held and all(link.paused for link in links)
            for n in range(3):
                before = hub.ingest.holds
                await gate.closed_on_someone()
                gate.pass_one()
                await true(lambda before=before: hub.ingest.holds > before, f"it goes on, and is held again ({n})")
                assert hub.ingest.held and all(link.paused for link in links)
            hub.ingest.links.clear()
            gate.open()

    asyncio.run(main())


def test_a_page_whose_figures_cannot_be_had_once_has_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SAMPLE_S", 0.01)
    calls = 0

    async def main() -> None:
        nonlocal calls
        async with running(tmp_path) as hub:
            whole = hub._snapshots.sample

            def once() -> None:
                nonlocal calls
                calls += 1
                if calls == 1:
                    raise RuntimeError("by the test")
                whole()

            hub._snapshots.sample = once  # type: ignore[method-assign]  # the real one, made to fail
            await true(lambda: calls > 3, "it ticks no more")

    asyncio.run(main())


def test_a_control_file_that_cannot_be_removed_keeps_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(journal: str) -> None:
        raise OSError(30, "read-only file system (by the test)")

    async def main() -> None:
        hub = Hub(str(tmp_path / "j.db"))
        await hub.start()
        await hub.serve_page("127.0.0.1", 0)
        monkeypatch.setattr(hub_module, "remove_control", broken)
        await hub.stop()
        assert hub.journal._closed

    asyncio.run(main())
    Hub(str(tmp_path / "j.db")).journal.close()
