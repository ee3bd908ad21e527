"""One connection, over a real socket: what is wrong refuses this link with a reason, and touches no other."""

import asyncio
import errno
import gc
import json
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from peer import EPOCH, LIMIT_S, Gate, Peer, as_json, data, data_text, readings, rows, running
from servers import not_allowed

from bourn import wire
from bourn.device.connections.tcp import split_url
from bourn.hub import ingest, link
from bourn.hub.hub import Hub

Misbehaviour = Callable[[Peer], Awaitable[None]]
GIGABYTE = 1 << 30


def says(*frames: bytes) -> Misbehaviour:
    """A peer that begins with these bytes."""

    async def misbehave(peer: Peer) -> None:
        await peer.send(*frames)

    return misbehave


def greets_and_says(*frames: bytes) -> Misbehaviour:
    """A peer that is a good one up to the WELCOME."""

    async def misbehave(peer: Peer) -> None:
        await peer.hello("bad")
        await peer.send(*frames)

    return misbehave


def hello(*values: Any) -> Misbehaviour:
    """A peer with this HELLO."""
    return says(wire.encode(wire.HELLO, *values))


def header(length: int, kind: int = wire.DATA, version: int = wire.VERSION) -> bytes:
    """The beginning of a frame."""
    return length.to_bytes(4, "big") + bytes((kind, version))


async def dies_in_a_frame(peer: Peer) -> None:
    """Not refused: there is nobody left to hear it."""
    await peer.hello("bad")
    await peer.send(data(1, 1)[:-3])
    peer.reset()


# what it does: (the code it is refused with, how)
BAD: dict[str, tuple[str, Misbehaviour]] = {
    "a browser": ("too_long", says(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")),
    "nothing but zeros": ("too_long", says(bytes(1000))),
    "nothing but ones": ("too_long", says(b"\xff" * 70_000)),
    "a frame of 1 GB": ("too_long", says(header(GIGABYTE))),
    "a frame of 1 GB, and it begins": ("too_long", greets_and_says(header(GIGABYTE), b"x" * 100_000)),
    "a frame one byte too long": ("too_long", greets_and_says(header(wire.MAX_FRAME - 3), b" " * 100)),
    "a frame of no length": ("too_long", greets_and_says(header(0))),
    "a frame of 3 bytes": ("too_long", greets_and_says(header(3))),
    "a later version": ("version", says(header(10, wire.HELLO, 2), bytes(8))),
    "kind 0": ("kind", says(header(10, 0), bytes(8))),
    "kind 99": ("kind", greets_and_says(header(10, 99), bytes(8))),
    "DATA before HELLO": ("hello", says(data(1, 5))),
    "GAP before HELLO": ("hello", says(wire.encode(wire.GAP, 1, 2, "full"))),
    "WANT before HELLO": ("kind", says(wire.encode(wire.WANT, 1))),
    "WANT where no credit is lent": ("kind", greets_and_says(wire.encode(wire.WANT, 1))),
    "CREDIT that it was not lent": ("kind", greets_and_says(wire.encode(wire.CREDIT, 1))),
    "what only a hub says": ("kind", greets_and_says(wire.encode(wire.ACK, EPOCH, 5))),
    "WELCOME": ("kind", says(wire.encode(wire.WELCOME, EPOCH, 0, 100, False, "hub"))),
    "HELLO that is no JSON": ("json", says(as_json("[hello]", wire.HELLO))),
    "HELLO cut in a character": ("json", says(wire.encode_body(wire.HELLO, b'["\xc3"]'))),
    "HELLO without an epoch": ("shape", hello("bad")),
    "HELLO with a number for a name": ("shape", hello(5, EPOCH, 1, {})),
    "HELLO with a negative number": ("shape", hello("bad", EPOCH, -1, {})),
    "HELLO with 65 bits": ("shape", hello("bad", EPOCH, 1 << 64, {})),
    "HELLO with true for a number": ("shape", hello("bad", EPOCH, True, {})),
    "HELLO of depth": ("nesting", says(as_json('["a","b",1,{"x":' + "[" * 30 + "]" * 30 + "}]", wire.HELLO))),
    "no name": ("source", hello("", EPOCH, 1, {})),
    "a name with a path": ("source", hello("../../etc/passwd", EPOCH, 1, {})),
    "a name with a slash": ("source", hello("a/b", EPOCH, 1, {})),
    "a name that hides": ("source", hello(".hidden", EPOCH, 1, {})),
    "a name with a line's end": ("source", hello("a\nb", EPOCH, 1, {})),
    "a name of 65 letters": ("source", hello("a" * 65, EPOCH, 1, {})),
    "a name in Greek": ("source", hello("αβγ", EPOCH, 1, {})),
    "a name with half a character": ("source", says(as_json(f'["a\\ud800","{EPOCH}",1,{{}}]', wire.HELLO))),
    "a second name on one link": ("source", greets_and_says(wire.encode(wire.HELLO, "other", EPOCH, 1, {}))),
    "an epoch that is too short": ("epoch", hello("bad", EPOCH[1:], 1, {})),
    "an epoch in capitals": ("epoch", hello("bad", EPOCH.upper(), 1, {})),
    "an epoch that is none": ("epoch", hello("bad", "g" * 16, 1, {})),
    "DATA that is no JSON": ("json", greets_and_says(as_json('[1,0,[["s",0,1]]'))),
    "DATA that is an object": ("json", greets_and_says(as_json("{}"))),
    "DATA without readings": ("shape", greets_and_says(as_json("[1,0,[]]"))),
    "DATA from number 0": ("shape", greets_and_says(as_json('[0,0,[["s",0,1]]]'))),
    "DATA beyond all numbers": ("shape", greets_and_says(as_json('[9223372036854775807,0,[["s",0,1]]]'))),
    "DATA of depth": ("nesting", greets_and_says(data_text(1, '["s",0,' + "[" * 20_000 + "]" * 20_000 + "]"))),
    "DATA of hidden depth": ("nesting", greets_and_says(data_text(1, '["s",0,' + '["]",' * 99 + '1,"["]' * 99 + "]"))),
    "more than its credit": ("credit", greets_and_says(data(1, *range(11)))),
    "more than its credit, in small frames": ("credit", greets_and_says(*[data(1, 5)] * 50)),
    "a GAP that ends before it begins": ("shape", greets_and_says(wire.encode(wire.GAP, 5, 4, "full"))),
    "a GAP from number 0": ("shape", greets_and_says(wire.encode(wire.GAP, 0, 4, "full"))),
    "a GAP without a reason": ("shape", greets_and_says(wire.encode(wire.GAP, 1, 4))),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_link_is_refused_with_a_reason_and_all_others_go_on(tmp_path: Path, what: str) -> None:
    code, misbehave = BAD[what]

    async def main() -> None:
        async with (
            running(tmp_path, in_flight=10) as hub,
            await Peer.greeted(hub.url, "good") as good,
            await Peer.greeted(hub.url, "idle") as idle,
            await Peer.connect(hub.url) as bad,
        ):
            await good.deliver(1, 2)
            await misbehave(bad)
            await good.deliver(3)
            assert await bad.refused() == code
            await good.deliver(4, 5)
            await idle.deliver("also")
            assert hub.ingest.refusals == {code: 1}
            assert any(code in error["text"] or "refused" in error["text"] for error in hub.ingest.errors)
            assert len(hub.ingest.links) <= 3

    asyncio.run(main())
    stored = readings(tmp_path)
    assert [row[2:] for row in stored if row[0] == "good"] == [(i, i) for i in range(1, 6)]
    assert [row[2:] for row in stored if row[0] == "idle"] == [(1, '"also"')]


def test_garbage_of_every_kind_is_refused(tmp_path: Path, seed: int) -> None:
    """Random bytes, alone, after a good greeting, and with a header that promises something."""
    chance = random.Random(seed)

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "good") as good:
            for i in range(150):
                async with await Peer.connect(hub.url) as bad:
                    if chance.random() < 0.5:
                        await bad.hello("bad")
                    garbage = chance.randbytes(chance.randrange(6, 3000))
                    if chance.random() < 0.7:
                        garbage = header(chance.randrange(4, len(garbage)), chance.randrange(1, 12)) + garbage
                    await bad.send(garbage, b"\xff" * 70_000)
                    assert await bad.refused() in {"too_long", "version", "kind", "json", "shape", "nesting", "hello"}
                if i % 10 == 0:
                    await good.deliver(i)

    asyncio.run(main())
    assert [row[3] for row in readings(tmp_path)] == list(range(0, 150, 10))


def resident() -> int:
    """Bytes of memory that this process has in use."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def test_memory_does_not_grow_over_thousands_of_bad_links(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("bourn"), "propagate", False)  # pytest keeps every line of the log
    chance = random.Random(seed)
    kinds = [misbehave for _, misbehave in BAD.values()]

    async def bad_links(hub: Hub, n: int) -> None:
        for i in range(n):
            async with await Peer.connect(hub.url) as bad:
                if i % 10 == 0:
                    await dies_in_a_frame(bad)
                else:
                    await chance.choice(kinds)(bad)
                    await bad.refused()

    async def main() -> None:
        async with running(tmp_path, in_flight=10) as hub, await Peer.greeted(hub.url, "good") as good:
            await bad_links(hub, 800)
            await good.deliver("before")
            before = resident()
            await bad_links(hub, 3200)
            await good.deliver("after")
            grown = resident() - before
            print(f"{grown} bytes more after 3200 bad links")
            assert grown < 4_000_000, f"{grown} bytes more after 3200 bad links"
            assert len(hub.ingest.links) < 50

    asyncio.run(main())


def test_a_stranger_of_many_names_and_epochs_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whoever says HELLO and sends nothing must not cost the hub memory for ever."""

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.connect(hub.url) as stranger:
            for i in range(3000):
                await stranger.hello("stranger", f"{i:016x}")
            assert len(hub.journal._streams) < 10
            await stranger.deliver(1, 2, 3)

    asyncio.run(main())
    assert readings(tmp_path) == [("stranger", f"{2999:016x}", i, i) for i in (1, 2, 3)]
    assert rows(tmp_path, "SELECT count(*) FROM stream") == [(1,)]


def test_sources_that_are_down_make_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MAX_SOURCES", 10)

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "good") as good:
            for i in range(50):
                async with await Peer.greeted(hub.url, f"s{i}") as peer:
                    await peer.deliver(i)
                async with asyncio.timeout(LIMIT_S):
                    while hub.ingest.sources[f"s{i}"].link:
                        await asyncio.sleep(0)
            assert len(hub.ingest.sources) == 10
            await good.deliver("still there")
            assert {row["state"] for row in hub.status()["links"] if row["source"] == "good"} == {"up"}

    asyncio.run(main())
    assert len(readings(tmp_path)) == 51


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "tcp://localhost:0", "tcp://[::1]:0"])
def test_where_a_hub_listens(tmp_path: Path, listen: str) -> None:
    async def main() -> None:
        async with running(tmp_path, listen_url=listen) as hub:
            host, port = split_url(hub.url)
            assert host == listen.removeprefix("tcp://").removesuffix(":0").strip("[]") and port > 0
            _, writer = await asyncio.open_connection(host, port)
            writer.close()

    try:
        asyncio.run(main())
    except OSError as e:
        if "::1" in listen and e.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            not_allowed("IPv6 on its loopback interface")
        raise


def test_beyond_this_machine_only_by_an_explicit_word(tmp_path: Path) -> None:
    async def main() -> None:
        for address in ("0.0.0.0", "[::]", "192.0.2.1", "a-machine.invalid"):
            with pytest.raises(ValueError, match="--insecure"):
                async with running(tmp_path, listen_url=f"tcp://{address}:0"):
                    pass
        async with (
            running(tmp_path, listen_url="tcp://0.0.0.0:0", insecure=True) as hub,
            await Peer.greeted(hub.url.replace("0.0.0.0", "127.0.0.1"), "s") as peer,
        ):
            await peer.deliver(1)

    asyncio.run(main())


# -- how bytes come


def test_two_frames_in_one_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = record_segments(monkeypatch)

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            sizes.clear()
            both = data(1, 10, 20) + data(3, 30)
            await peer.send(both)
            await peer.acked(3)
            assert sizes == [len(both)]

    asyncio.run(main())
    assert [row[2:] for row in readings(tmp_path)] == [(1, 10), (2, 20), (3, 30)]


def test_one_frame_in_segments_of_one_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = record_segments(monkeypatch)

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.connect(hub.url) as peer:
            frames = wire.encode(wire.HELLO, "s", EPOCH, 1, {}) + data(1, 10, "zwanzig", [30])
            for i in range(len(frames)):
                await peer.send(frames[i : i + 1])
                async with asyncio.timeout(LIMIT_S):
                    while len(sizes) <= i:
                        await asyncio.sleep(0)
            assert sizes == [1] * len(frames)
            await peer.expect(wire.WELCOME)
            assert await peer.expect(wire.ACK) == [EPOCH, 3]

    asyncio.run(main())
    assert [row[2:] for row in readings(tmp_path)] == [(1, 10), (2, '"zwanzig"'), (3, "[30]")]


def record_segments(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes in which bytes come to the hub from now on."""
    sizes: list[int] = []
    received = link.Link.data_received

    def record(self: link.Link, data: bytes) -> None:
        sizes.append(len(data))
        received(self, data)

    monkeypatch.setattr(link.Link, "data_received", record)
    return sizes


def test_frames_cut_anywhere(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    async def main() -> None:
        async with running(tmp_path, in_flight=10_000) as hub, await Peer.greeted(hub.url, "s") as peer:
            first, stream = 1, b""
            while first < 3000:
                n = chance.choice((1, 1, 2, 5, 300))
                stream += data(first, *range(first, first + n))
                first += n
            while stream:
                n = chance.choice((1, 3, 7, 100, 5000))
                await peer.send(stream[:n])
                stream = stream[n:]
                await asyncio.sleep(0)
            await peer.acked(first - 1)

    asyncio.run(main())
    stored = [row[2:] for row in readings(tmp_path)]
    assert stored == [(i, i) for i in range(1, len(stored) + 1)]
    assert len(stored) >= 2999


def test_the_longest_frame_there_may_be(tmp_path: Path) -> None:
    body = b'[1,1000,[["s",0,"' + b"x" * wire.MAX_FRAME
    body = body[: wire.MAX_FRAME - wire.HEADER - 4] + b'"]]]'

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            await peer.send(wire.encode_body(wire.DATA, body))
            await peer.acked(1)

    asyncio.run(main())
    assert rows(tmp_path, "SELECT length(val) > 65000 FROM reading") == [(1,)]


# -- the order of a stream


def test_a_hole_is_answered_by_where_to_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, in_flight=10) as hub, await Peer.greeted(hub.url, "s") as peer:
            await peer.send(data(3, 30, 40))
            assert await peer.expect(wire.NACK) == [EPOCH, 1]
            assert await peer.expect(wire.CREDIT) == [2], "what was not taken may be sent again"
            await peer.deliver(10, 20)
            await peer.send(wire.encode(wire.GAP, 4, 9, "full"))
            assert await peer.expect(wire.NACK) == [EPOCH, 3]
            await peer.deliver(30)

    asyncio.run(main())
    assert [row[2:] for row in readings(tmp_path)] == [(1, 10), (2, 20), (3, 30)]
    assert rows(tmp_path, "SELECT * FROM gap") == []


def test_a_nack_names_nothing_that_is_not_on_disk(tmp_path: Path) -> None:
    """A sender takes it for an acknowledgement of everything before: as WELCOME, it must not come before the commit."""

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            await peer.deliver(10)
            gate = Gate(hub)
            gate.shut()
            await peer.send(data(2, 20), data(9, 90))
            assert await peer.expect(wire.NACK) == [EPOCH, 2]
            gate.open()

    asyncio.run(main())


def test_duplicates_are_trimmed(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, in_flight=100) as hub:
            async with await Peer.greeted(hub.url, "s") as peer:
                await peer.send(data(1, 1, 2, 3, 4, 5), data(3, 3, 4, 5, 6, 7), data(1, 1), data(7, 7, 8))
                await peer.acked(8)
                await peer.send(data(2, 2, 3))
                assert await peer.expect(wire.ACK) == [EPOCH, 8]
            async with await Peer.connect(hub.url) as again:
                assert (await again.hello("s"))[1] == 8
                await again.send(data(1, 1, 2, 3))
                assert await again.expect(wire.ACK) == [EPOCH, 8]
                await again.deliver(9)
            assert hub.journal.counters["duplicates"] == 3 + 1 + 1 + 2 + 3

    asyncio.run(main())
    assert [row[2:] for row in readings(tmp_path)] == [(i, i) for i in range(1, 10)]


def test_what_is_taken_and_not_committed_is_not_stored_twice(tmp_path: Path) -> None:
    """A sender comes back while the commit of what it sent is still going on."""

    async def main() -> None:
        async with running(tmp_path) as hub:
            gate = Gate(hub)
            gate.shut()
            async with await Peer.greeted(hub.url, "s") as peer:
                await peer.send(data(1, 1, 2, 3))
                await gate.closed_on_someone()
            async with await Peer.connect(hub.url) as again:
                assert (await again.hello("s"))[1] == 0, "nothing is on disk yet"
                await again.send(data(1, 1, 2), data(3, 3, 4))
                await again.quiet()
                gate.open()
                await again.acked_beyond(4)

    asyncio.run(main())
    assert [row[2:] for row in readings(tmp_path)] == [(i, i) for i in range(1, 5)]


def test_gaps_and_epochs(tmp_path: Path) -> None:
    second = "f" * 16

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            await peer.deliver(1, 2)
            await peer.send(wire.encode(wire.GAP, 1, 5, "full"))
            await peer.acked(5)
            await peer.send(wire.encode(wire.GAP, 2, 4, "full"))
            assert await peer.expect(wire.ACK) == [EPOCH, 5], "known already"
            peer.next = 6
            await peer.deliver(6)
            assert (await peer.hello("s", second, 4))[1] == 3, "what was before is nothing to wait for"
            await peer.acked(3)
            await peer.deliver(4)
            assert (await peer.hello("s", EPOCH))[1] == 6, "every epoch goes on where it was"

    asyncio.run(main())
    assert readings(tmp_path) == [("s", EPOCH, 1, 1), ("s", EPOCH, 2, 2), ("s", EPOCH, 6, 6), ("s", second, 4, 4)]
    gaps = rows(tmp_path, "SELECT epoch, first, gap.last, reason FROM gap JOIN stream ON id = stream ORDER BY pos")
    assert gaps == [(EPOCH, 3, 5, "full"), (second, 1, 3, "trimmed")]


def test_two_links_of_one_source_the_newer_wins(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as older:
            await older.deliver(1)
            async with await Peer.connect(hub.url) as newer:
                assert (await newer.hello("s"))[1] == 1
                assert await older.refused() == "replaced"
                await newer.deliver(2)
                assert hub.ingest.replaced == 1
                status = hub.status()["links"]
                assert [(row["source"], row["state"], row["links"], row["acked"]) for row in status] == [
                    ("s", "up", 2, 2)
                ]
            async with await Peer.greeted(hub.url, "s") as newest:
                await newest.deliver(3)

    asyncio.run(main())
    assert [row[2:] for row in readings(tmp_path)] == [(1, 1), (2, 2), (3, 3)]


# -- poison


POISON = {
    "65 bits": '["s",1,9223372036854775808]',
    "too large a number": '["s",1,1e999]',
    "thousands of digits": '["s",1,' + "7" * 5000 + "]",
    "NaN": '["s",1,NaN]',
    "infinite": '["s",1,[1,-Infinity]]',
    "half a character": '["s",1,"\\ud800"]',
    "half a character as a key": '["s",1,{"\\udfff":1}]',
    "no name": '["",1,1]',
    "a name with a path": '["../../x y;",1,1]',
    "a name in Greek": '["λ",1,1]',
    "a name of another kind": "[5,1,1]",
    "a time of another kind": '["s","1",1]',
    "a time out of range": '["s",9223372036854775807,1]',
    "two of three": '["s",1]',
    "four of three": '["s",1,1,1]',
    "a bare number": "5",
    "null": "null",
}


@pytest.mark.parametrize("what", POISON)
def test_poison_goes_to_the_quarantine_in_its_order_and_is_acknowledged(tmp_path: Path, what: str) -> None:
    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            await peer.deliver("first")
            await peer.send(data_text(2, '["s",0,2]', POISON[what], '["s",2,4]', POISON[what], '["s",2,6]'))
            await peer.acked(6)
            await peer.send(data_text(7, POISON[what]), data(8, 8))
            await peer.acked(8)
            assert hub.journal.counters["quarantined"] == 3
            assert hub.status()["links"][0]["state"] == "up"

    asyncio.run(main())
    assert [row[2:] for row in readings(tmp_path)] == [(1, '"first"'), (2, 2), (4, 4), (6, 6), (8, 8)]
    quarantine = rows(tmp_path, "SELECT seq, reason, raw FROM quarantine ORDER BY pos")
    assert [row[0] for row in quarantine] == [3, 5, 7]
    assert all(reason and json.loads(raw) for _, reason, raw in quarantine)
    places = rows(
        tmp_path, "SELECT seq FROM (SELECT pos, seq FROM reading UNION SELECT pos, seq FROM quarantine) ORDER BY pos"
    )
    assert [seq for (seq,) in places] == list(range(1, 9))


def test_half_a_character_in_any_text_harms_nobody(tmp_path: Path) -> None:
    """JSON can say what no UTF-8 can: in a reason, in what a sender says about itself, in a name."""

    async def main() -> None:
        async with (
            running(tmp_path) as hub,
            await Peer.greeted(hub.url, "good") as good,
            await Peer.connect(hub.url) as odd,
        ):
            await odd.send(as_json(f'["odd","{EPOCH}",1,{{"runtime":"\\ud800","\\udfff":5}}]', wire.HELLO))
            await odd.expect(wire.WELCOME)
            await odd.send(as_json('[1,5,"\\udc00 because"]', wire.GAP))
            assert await odd.expect(wire.ACK) == [EPOCH, 5]
            await good.deliver(1)
            json.dumps(hub.status(), ensure_ascii=False).encode()

    asyncio.run(main())
    assert rows(tmp_path, "SELECT first, last, reason FROM gap") == [(1, 5, "? because")]


# -- credit


def test_credit_is_given_back_by_acks_and_by_those_who_go(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, network_in_flight=5) as hub, await Peer.greeted(hub.url, "good") as good:
            pool = hub.ingest.pool
            assert pool
            await good.deliver(1, 2, 3)
            for going in ("close", "reset", "refuse"):
                async with await Peer.greeted(hub.url, "greedy") as greedy:
                    await greedy.borrow(5)
                    assert pool.lent == 5
                    waiting = asyncio.create_task(good.deliver(4))
                    if going == "refuse":
                        await greedy.send(bytes(10))
                        await greedy.refused()
                    else:
                        getattr(greedy, going)()
                    await waiting
            assert pool.peak == 5
            async with await Peer.greeted(hub.url, "greedy") as greedy:
                await greedy.borrow(5)
                await greedy.send(wire.encode(wire.CREDIT, 3))
                await good.deliver(5, 6, 7)
                await greedy.send(wire.encode(wire.CREDIT, 3))
                assert await greedy.refused() == "kind", "it has 2 left"

    asyncio.run(main())


def test_what_is_in_flight_of_a_link_that_went_counts_until_it_is_committed(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, network_in_flight=5) as hub, await Peer.greeted(hub.url, "good") as good:
            gate = Gate(hub)
            gate.shut()
            gone = await Peer.greeted(hub.url, "gone")
            await gone.borrow(5)
            await gone.send(data(1, 1, 2, 3))
            await gate.closed_on_someone()
            gone.close()
            await good.send(wire.encode(wire.WANT, 5))
            assert await good.expect(wire.CREDIT) == [2]
            await good.quiet()
            gate.open()
            assert await good.expect(wire.CREDIT) == [3]

    asyncio.run(main())
    assert len(readings(tmp_path)) == 3


def test_credit_that_is_not_used_is_taken_away_from_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "UNUSED_CREDIT_S", 0.3)
    monkeypatch.setattr(ingest, "TICK_S", 0.05)

    async def main() -> None:
        async with (
            running(tmp_path, network_in_flight=5) as hub,
            await Peer.greeted(hub.url, "good") as good,
            await Peer.greeted(hub.url, "mean") as mean,
        ):
            await mean.borrow(5)
            waiting = asyncio.create_task(good.deliver(1, 2, 3, 4, 5))
            assert await mean.refused() == "credit"
            await waiting

    asyncio.run(main())


def test_a_new_greeting_opens_no_second_window(tmp_path: Path) -> None:
    """What is not acknowledged yet counts, whatever epoch a link turns to."""

    async def main() -> None:
        async with running(tmp_path, in_flight=10) as hub, await Peer.greeted(hub.url, "s") as peer:
            gate = Gate(hub)
            gate.shut()
            await peer.send(data(1, *range(8)))
            assert (await peer.hello("s", "a" * 16))[2] == 2
            await peer.send(data(1, *range(2)))
            await gate.closed_on_someone()
            gate.open()
            await peer.acked(2)
            await peer.send(data(3, *range(10)))  # all of the window is there again
            await peer.acked(12)

    asyncio.run(main())
    assert len(readings(tmp_path)) == 8 + 2 + 10


# -- peers that do nothing


def test_who_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "HELLO_S", 0.2)
    monkeypatch.setattr(ingest, "TICK_S", 0.05)

    async def main() -> None:
        async with (
            running(tmp_path) as hub,
            await Peer.greeted(hub.url, "good") as good,
            await Peer.connect(hub.url) as mute,
            await Peer.connect(hub.url) as slow,
        ):
            await slow.send(b"\0")
            assert await mute.refused() == "hello"
            assert await slow.refused() == "hello"
            await good.deliver(1)
            monkeypatch.setattr(link, "SILENCE_S", 0.2)
            assert await good.refused() == "silent"

    asyncio.run(main())


def test_a_peer_that_never_reads_is_let_go(tmp_path: Path) -> None:
    """Its acknowledgements are kept for it up to a bound, then it is closed; the others go on, memory too."""

    async def main() -> None:
        async with (
            running(tmp_path) as hub,
            await Peer.greeted(hub.url, "good") as good,
            await Peer.connect(hub.url, receive_buffer=4096) as deaf,
        ):
            await deaf.hello("deaf")
            await good.deliver(0)
            before = resident()
            asking = wire.encode(wire.PING, 1 << 60) * 1000
            with pytest.raises(OSError):  # reset, or broken, as it comes
                for i in range(100_000):
                    await deaf.send(asking)
                    if i % 50 == 0:
                        await good.deliver(i)
            assert any("does not read" in error["text"] for error in hub.ingest.errors)
            await good.deliver("after")
            assert resident() - before < 20_000_000
            states = {row["source"]: row["state"] for row in hub.status()["links"]}
            assert states == {"good": "up", "deaf": "down"}

    asyncio.run(main())


def test_a_refused_peer_that_goes_on_sending_is_not_heard(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "bad") as bad:
            await bad.deliver(1)
            await bad.send(data(2, 2), bytes(10), data(3, 3))
            for _ in range(100):
                await bad.send(data(3, 3) * 100)
            assert await bad.refused() == "too_long"
        assert not hub.ingest.links

    asyncio.run(main())
    assert (3, 3) not in [row[2:] for row in readings(tmp_path)]
