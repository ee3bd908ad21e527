"""The connection through an MQTT broker when things go wrong: killed brokers, hubs that come and go, strangers."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish
from peer import EPOCH, LIMIT_S, data, readings, rows, running
from processes import finish, micropython, node
from servers import free_port, mosquitto, nats_server
from test_connections import Sensor, sending, stored_of, true

from bourn import wire
from bourn.device.connections import check_url
from bourn.hub.connections import check_free
from bourn.hub.hub import Hub


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A broker's."""
    port = free_port()
    with mosquitto(tmp_path, port):
        yield port


def url_of(port: int) -> str:
    return f"mqtt://127.0.0.1:{port}/plant"


def listener_of(hub: Hub) -> Any:
    return hub._listeners[0]


@pytest.mark.parametrize(("broker", "times"), [(mosquitto, 4), (nats_server, 2)])
def test_a_broker_that_is_killed_again_and_again_costs_nothing(
    tmp_path: Path, seed: int, broker: Any, times: int
) -> None:
    """All that it held is gone each time; every reading the outboxes accepted is in the journal once, in its order."""
    port, chance = free_port(), random.Random(seed)
    vals = list(range(500 * times + 500))

    async def life() -> int:
        kills = 0
        process = broker(tmp_path, port)
        running_broker = process.__enter__()
        async with (
            running(tmp_path, listen_url=url_of(port), in_flight=20) as hub,
            sending(hub, ("a", vals), ("b", vals)),
        ):
            for at in range(500, 500 * times + 1, 500):
                await true(lambda at=at: hub.ingest.acked > at, "it goes on")
                await asyncio.sleep(chance.uniform(0, 0.05))
                running_broker.kill()
                process.__exit__(None, None, None)
                kills += 1
                process = broker(tmp_path, port)
                running_broker = await asyncio.to_thread(process.__enter__)
        process.__exit__(None, None, None)
        return kills

    assert asyncio.run(life()) == times
    for source in "ab":
        assert stored_of(tmp_path, source) == [(i + 1, i) for i in vals]


def test_a_hub_that_comes_again_takes_on_at_once_from_sensors_that_stayed(tmp_path: Path, port: int) -> None:
    async def life() -> None:
        one = Sensor(url_of(port), "a", list(range(2000)))
        one.start()
        for at in (300, 900):
            async with running(tmp_path, listen_url=url_of(port), in_flight=5) as hub:
                await true(lambda hub=hub, at=at: hub.journal.rows > at, "it goes on")
        async with running(tmp_path, listen_url=url_of(port)):
            await asyncio.to_thread(one.join, LIMIT_S)
            assert not one.is_alive(), one.sender.last_error

    asyncio.run(life())
    assert stored_of(tmp_path, "a") == [(i + 1, i) for i in range(2000)]


def test_of_two_hubs_the_newer_serves_and_the_older_takes_over_when_it_has_gone(tmp_path: Path, port: int) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()

    async def life() -> None:
        async with running(tmp_path / "old", listen_url=url_of(port), in_flight=5) as old:
            one = Sensor(url_of(port), "a", list(range(3000)))
            one.start()
            await true(lambda: old.journal.rows > 100, "the first serves")
            async with running(tmp_path / "new", listen_url=url_of(port), in_flight=5) as new:
                await true(lambda: new.journal.rows > 100, "the second serves")
                assert not old.ingest.links
                before = old.journal.rows
                await true(lambda: new.journal.rows > 300, "it goes on")
                assert old.journal.rows == before
            await asyncio.to_thread(one.join, LIMIT_S)
            assert not one.is_alive() and old.journal.rows > before

    asyncio.run(life())
    stored = [dict(stored_of(tmp_path / name, "a")) for name in ("old", "new")]
    for one, name in zip(stored, ("old", "new"), strict=True):
        assert len(one) == len(stored_of(tmp_path / name, "a")), "none twice in one journal"
        assert all(val == seq - 1 for seq, val in one.items())
    assert set(stored[0]) | set(stored[1]) == set(range(1, 3001)), "acknowledged, so stored here or there"


def test_strangers_old_messages_and_repetitions_harm_nobody(tmp_path: Path, port: int) -> None:
    hello = wire.encode(wire.HELLO, "x", EPOCH, 1, {})
    link = "0" * 16

    def say(topic: str, payload: bytes, retain: bool = False) -> None:
        publish.single(f"plant/{topic}", payload, retain=retain, port=port)

    def message(number: int, frames: bytes) -> bytes:
        return number.to_bytes(4, "big") + frames

    async def life() -> Any:
        await asyncio.to_thread(say, f"up/{link}", message(0, hello), True)  # retained, before the hub comes
        async with running(tmp_path, listen_url=url_of(port)) as hub:
            listener = listener_of(hub)
            await true(lambda: listener.counters["retained"] == 1, "it is passed over")
            async with sending(hub, ("good", list(range(500)))):
                for topic, payload in (
                    ("up/NOT-A-LINK", message(0, hello)),
                    (f"up/{link}", b"\0\0\0"),
                    (f"up/{link}", message(5, data(1, 1))),
                    ("up/../x", b"?"),
                    ("hub", b"\xff\xfe nonsense"),
                ):
                    await asyncio.to_thread(say, topic, payload)
                for number in (0, 0, 1, 1, 1, 3):  # repetitions are passed over, a hole ends the link
                    frames = hello if number == 0 else data(1, 7)
                    await asyncio.to_thread(say, f"up/{link}", message(number, frames))
                await true(lambda: listener.counters["holes"] == 1, "the hole is noticed")
            return listener.counters

    counters = asyncio.run(life())
    assert (counters["garbage"], counters["strangers"], counters["duplicates"]) == (2, 1, 3)
    assert len(stored_of(tmp_path, "good")) == 500
    assert stored_of(tmp_path, "x") == [(1, 7)]


def test_a_node_on_micropython_through_a_broker_that_is_killed(tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "source": "s1",
        "hub": url_of(port),
        "outbox": str(tmp_path / "outbox"),
        "sensors": [{"kind": "random", "name": "s1", "every": 0.05}],
    }

    async def life() -> dict[str, Any]:
        broker = mosquitto(tmp_path, port)
        process = broker.__enter__()
        async with running(tmp_path, listen_url=url_of(port), network_in_flight=5) as hub:
            with node(tmp_path, settings, micropython()) as program:
                for links in (1, 2):
                    await true(lambda n=links: "s1" in hub.ingest.sources and hub.ingest.sources["s1"].links >= n, "up")
                    before = hub.journal.rows
                    await true(lambda before=before: hub.journal.rows > before + 5, "readings come")
                    process.kill()
                    broker.__exit__(None, None, None)
                    broker = mosquitto(tmp_path, port)
                    process = broker.__enter__()
                await true(lambda: hub.ingest.sources["s1"].links >= 3, "it comes back")
                report = await asyncio.to_thread(finish, program)
        broker.__exit__(None, None, None)
        return report

    report = asyncio.run(life())
    assert report["waiting"] == 0 and report["acked"] + report["known"] == len(readings(tmp_path))
    assert [seq for seq, _ in stored_of(tmp_path, "s1")] == list(range(1, len(readings(tmp_path)) + 1))
    assert rows(tmp_path, "SELECT count(*) FROM gap") == [(0,)]


def test_what_is_no_brokers_url() -> None:
    for url in ("mqtt://h", "mqtt:///t", "mqtt://h:0/t", "mqtt://h/a+b", "mqtt://h/#", "mqtt://h:x/t"):
        for check in (check_url, check_free):
            with pytest.raises(ValueError, match=r"mqtt://127\.0\.0\.1:1883/bourn"):
                check(url)
    with pytest.raises(ValueError, match="does not encrypt"):
        check_free("mqtt://192.0.2.1/t")
    check_free("mqtt://192.0.2.1/t", insecure=True)
    check_free("mqtts://192.0.2.1/t")
    assert check_url("mqtt://me:secret@127.0.0.1/t/u") == "mqtt://127.0.0.1:1883/t/u"


@pytest.mark.parametrize("limit", [None, 65536])
def test_long_messages_are_not_kept_and_a_broker_that_refuses_them_is_the_bound(
    tmp_path: Path, limit: int | None
) -> None:
    port = free_port()

    async def life() -> tuple[int, int]:
        async with running(tmp_path, listen_url=url_of(port)) as hub, sending(hub, ("a", [1, 2])):
            listener, kept = listener_of(hub), []
            take = listener._take
            listener._take = lambda link, payload: (kept.append(len(payload)), take(link, payload))
            long = [
                (f"plant/up/{n:016x}", b"\0" * size, 1, False) for n, size in enumerate((65_536, 65_537, 9_000_000))
            ]
            await asyncio.to_thread(publish.multiple, [*long, ("plant/up/x", b"!", 1, False)], port=port)
            await true(lambda: 1 in kept, "the last of them has come")
            async with sending(hub, ("b", [3])):
                await true(lambda: hub.journal.rows == 3, "and nobody else is bothered")
            assert listener._came == listener._took and listener.held_bytes == 0
            return max(kept), listener.counters["garbage"]

    with mosquitto(tmp_path, port, *([f"message_size_limit {limit}"] if limit else [])):
        # Beyond the bound one byte is kept, by which it is told; the last message is garbage, too.
        assert asyncio.run(life()) == ((65_536, 1) if limit else (65_537, 3))
