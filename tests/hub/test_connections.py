"""One suite over all connections: order, the window, resumption, half-open links, garbage, room, and who is let in."""

import asyncio
import contextlib
import json
import os
import select
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
from peer import LIMIT_S, Gate, data, readings, running
from processes import until
from servers import free_port, mosquitto

from bourn import wire
from bourn.device import sender as sender_module
from bourn.device.connections import check_url, open_connection
from bourn.device.sender import Sender
from bourn.hub.connections import check_free, listen
from bourn.hub.hub import Hub
from bourn.spool.ram import RamSpool
from bourn.testing import ManualClock

SCHEMES = ("tcp", "unix", "pipe", "queue", "mpqueue", "shm", "mqtt")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an MQTT broker."""
    port = free_port()
    with mosquitto(tmp_path_factory.mktemp("broker"), port):
        yield port


@pytest.fixture(params=SCHEMES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a hub listens, of each kind of connection."""
    kinds: dict[str, Any] = {
        "tcp": "tcp://127.0.0.1:0",
        "unix": f"unix:{tmp_path}/u.sock",
        "pipe": "pipe:",
        "queue": f"queue:{tmp_path.name[:60]}",
        "mpqueue": "mpqueue:",
        "shm": f"shm:{tmp_path}/m.sock",
        "mqtt": lambda: f"mqtt://127.0.0.1:{request.getfixturevalue('broker')}/t/{tmp_path.name}",
    }
    found = kinds[request.param]
    return found() if callable(found) else found


async def true(what: Callable[[], Any], why: str) -> None:
    """Wait until `what()` is true; an AssertionError saying `why` when it does not come in time."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while not what():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(why) from None


class Sensor(threading.Thread):
    """A sender in a thread of its own that emits `vals` as the outbox has room, and sends until all is acked."""

    def __init__(self, url: str, source: str, vals: list[Any], spool: Any = None) -> None:
        super().__init__(daemon=True)
        self.spool = spool or RamSpool(1000, "block")
        self.sender = Sender(url, source, self.spool)
        self.peak = 0
        self.wakes = 0
        self._vals = vals
        self._over = False

    def run(self) -> None:
        """Emit and send; ends when everything is acknowledged, or the connection can't be opened again."""
        vals = iter(self._vals)
        more = True
        while (more or self.spool.waiting()) and self.sender.state != "ended" and not self._over:
            while more and self.spool.waiting() < 1000:
                val = next(vals, self)
                more = val is not self
                if more:
                    self.sender.on_next((self.sender.source, 1, val))
            self.sender.wait(1000)
            self.wakes += 1
            self.peak = max(self.peak, self.sender.in_flight())
        if self.sender._channel is not None:
            self.sender._hang_up()

    def leave(self) -> None:
        """End at the next wake-up, whatever is unacknowledged."""
        self._over = True


@contextlib.asynccontextmanager
async def sending(hub: Hub, *sensors: tuple[str, list[Any]]) -> AsyncIterator[list[Sensor]]:
    """Sensors at work; at the end they are awaited, or let go if the test failed."""
    started = [Sensor((await hub.invite()).url, source, vals) for source, vals in sensors]
    for one in started:
        one.start()
    try:
        yield started
        await asyncio.gather(*[asyncio.to_thread(one.join, LIMIT_S) for one in started])
        assert not any(one.is_alive() for one in started), [(one.name, one.sender.last_error) for one in started]
    finally:
        for one in started:
            one.leave()


def stored_of(folder: Path, source: str) -> list[Any]:
    """What is stored of a source, (seq, value) in the order in which it was taken."""
    return [(seq, json.loads(str(val))) for name, _, seq, val in readings(folder) if name == source]


def test_every_reading_of_every_source_arrives_once_and_in_its_order(tmp_path: Path, url: str) -> None:
    """Short and long ones, some of them longer than any buffer on the way."""
    sizes = {"a": 0, "b": 300, "c": 30_000}
    given = {
        source: [f"{i}:" + "x" * size for i in range(600 if size < 1000 else 80)] for source, size in sizes.items()
    }

    async def life() -> None:
        async with running(tmp_path, listen_url=url) as hub, sending(hub, *given.items()) as sensors:
            pass
        for one in sensors:
            assert one.sender.counters["acked"] == one.sender.counters["sent"] == len(given[one.sender.source])
            assert one.sender.counters["resent"] == one.sender.counters["failures"] == 0, one.sender.last_error

    asyncio.run(life())
    for source, vals in given.items():
        assert stored_of(tmp_path, source) == list(enumerate(vals, 1))


@pytest.mark.parametrize("settings", [{"in_flight": 7}, {"network_in_flight": 5}], ids=lambda s: next(iter(s)))
def test_never_more_is_unacknowledged_than_allowed(tmp_path: Path, url: str, settings: dict[str, int]) -> None:
    async def life() -> int:
        async with running(tmp_path, listen_url=url, **settings) as hub:
            peak = 0
            take = hub.ingest.take

            def sampled(*arguments: Any) -> None:
                nonlocal peak
                take(*arguments)
                under_way = [link.in_flight for link in hub.ingest.links]
                peak = max(peak, sum(under_way) if "network_in_flight" in settings else max(under_way))

            hub.ingest.take = sampled  # type: ignore[method-assign]  # it looks, and then does what it did
            async with sending(hub, *[(name, list(range(300))) for name in "abc"]) as sensors:
                pass
            assert max(one.peak for one in sensors) <= next(iter(settings.values()))
        return peak

    assert asyncio.run(life()) == next(iter(settings.values()))
    assert len(readings(tmp_path)) == 900


def test_after_a_cut_it_goes_on_where_the_hub_is(tmp_path: Path, url: str) -> None:
    """Five times, whenever something more has come. What was inherited cannot be opened again: the sensor gets new."""

    async def life() -> None:
        async with running(tmp_path, listen_url=url, in_flight=20) as hub:
            one = Sensor((await hub.invite()).url, "a", list(range(2000)))
            spool, vals = one.spool, one._vals
            one.start()
            for _ in range(5):
                before = hub.ingest.received
                await true(lambda before=before: hub.ingest.received > before + 50, "readings come")
                for link in list(hub.ingest.links):
                    assert link._transport is not None
                    link._transport.abort()
                if url in ("pipe:", "mpqueue:"):
                    await asyncio.to_thread(one.join, LIMIT_S)
                    left = vals[spool.seq :]
                    one = Sensor((await hub.invite()).url, "a", left, spool)
                    one.start()
            await asyncio.to_thread(one.join, LIMIT_S)
            assert not one.is_alive(), one.sender.last_error

    asyncio.run(life())
    assert stored_of(tmp_path, "a") == [(i + 1, i) for i in range(2000)]


def test_who_sends_garbage_is_refused_and_harms_nobody(tmp_path: Path, url: str) -> None:
    async def life() -> None:
        async with running(tmp_path, listen_url=url) as hub, sending(hub, ("good", list(range(2000)))):
            for junk in (b"GET / HTTP/1.0\r\n\r\n" * 10, bytes(64), os.urandom(5000), data(1, 1)):
                refused = sum(hub.ingest.refusals.values())
                channel = open_connection((await hub.invite()).url)
                await asyncio.to_thread(speak, channel, junk)
                await true(lambda n=refused: sum(hub.ingest.refusals.values()) == n + 1, f"{junk[:20]!r} is refused")
                channel.close()

    asyncio.run(life())
    assert len(stored_of(tmp_path, "good")) == 2000


def speak(channel: Any, data: bytes) -> bytes:
    """Send all of it as a blocking socket would, and hear the other side until its end."""
    poller = select.poll()
    polled = getattr(channel, "polled", channel)
    interest = getattr(channel, "interest", lambda writing: select.POLLIN | (select.POLLOUT if writing else 0))
    poller.register(polled, select.POLLOUT)
    heard = b""
    for _ in range(1000):
        poller.poll(LIMIT_S * 1000)
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            if data:
                data = data[channel.send(data) :]
        try:
            said = channel.recv(65536)
            heard += said
            if not said:
                return heard
        except BlockingIOError:
            pass
        except OSError:
            return heard
        poller.modify(polled, interest(bool(data)))
    raise AssertionError("the other side does not end it")


async def let_in(hub: Hub, channel: Any) -> None:
    """Wait until the hub has a link for it; through a broker that is made by the first word."""
    if hasattr(channel, "_client"):
        hello = wire.encode(wire.HELLO, "mute", "0123456789abcdef", 1, {})

        def said() -> bool:
            with contextlib.suppress(BlockingIOError):
                channel.send(hello)
                return True
            return False

        await true(said, "it can speak")
    await true(lambda: hub.ingest.links, "it is let in")


def test_a_half_open_link_is_noticed_by_both_sides(tmp_path: Path, url: str) -> None:
    """The hub answers nothing any more: the sender asks, and gives it up. The sender says nothing: so does the hub."""

    class Mute(asyncio.Protocol):
        """Somebody who has lost the other side without being told."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)

    transports: list[Any] = []

    async def mute_hub() -> None:
        listener = await listen(url, Mute)
        clock = ManualClock()
        sender = Sender((await listener.invite()).url, "a", RamSpool(), clock)
        while sender.state != "greeting" or not transports:
            sender.wait(1)
            await asyncio.sleep(0.001)
        clock.advance(2 * sender_module.ANSWER_MS - 1)
        sender.wait(0)
        assert sender.state == "greeting"
        clock.advance(1)
        sender.wait(0)
        assert sender.state in {"down", "ended"} and "answer" in str(sender.last_error)
        sender.close()
        listener.close()
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0)

    async def mute_sender() -> None:
        async with running(tmp_path, listen_url=url) as hub:
            channel = open_connection((await hub.invite()).url)
            await let_in(hub, channel)
            (link,) = hub.ingest.links
            link.opened = link.heard = link.opened - 3600
            await true(lambda: not hub.ingest.links, "the hub gives it up")
            channel.close()
            assert sum(hub.ingest.refusals.values()) == 1

    asyncio.run(mute_hub())
    asyncio.run(mute_sender())


def test_a_hub_that_is_slow_stops_its_senders_and_nobody_spins(tmp_path: Path, url: str) -> None:
    """More under way than any buffer holds, while nothing is committed: waits are long, and all arrives after."""
    vals = [str(i) + "y" * 50_000 for i in range(60)]

    async def life() -> None:
        async with running(tmp_path, listen_url=url, in_flight=1000) as hub:
            gate = Gate(hub)
            gate.shut()
            async with sending(hub, ("a", vals)) as (one,):
                await gate.closed_on_someone()
                await true(lambda: one.sender.counters["sent"] >= 1, "it sends")
                for link in hub.ingest.links:
                    assert link._transport is not None
                    link._transport.pause_reading()
                await asyncio.sleep(0.2)
                before = one.wakes
                await asyncio.sleep(0.5)
                assert one.wakes - before < 20, "it polls where it could wait"
                for link in hub.ingest.links:
                    assert link._transport is not None
                    link._transport.resume_reading()
                gate.open()

    asyncio.run(life())
    assert [val for _, val in stored_of(tmp_path, "a")] == vals


def test_a_sensor_that_is_gone_is_noticed_at_once(tmp_path: Path, url: str) -> None:
    async def life() -> None:
        async with running(tmp_path, listen_url=url) as hub:
            channel = open_connection((await hub.invite()).url)
            await let_in(hub, channel)
            channel.close()
            await true(lambda: not hub.ingest.links, "it is gone")
            assert not hub.ingest.refusals

    asyncio.run(life())


def test_an_end_that_comes_with_the_last_words_is_heard_after_them(tmp_path: Path, url: str) -> None:
    """Both are there before the sender looks: whoever waits after each thing it took has to be woken for the next."""

    class Curt(asyncio.Protocol):
        """Somebody who says one thing, and ends."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"no")
            transport.write_eof() if transport.can_write_eof() else transport.close()
            transports.append(transport)

        def data_received(self, data: bytes) -> None:
            pass

    transports: list[asyncio.Transport] = []

    async def life() -> None:
        listener = await listen(url, Curt)
        channel = open_connection((await listener.invite()).url)
        await true(lambda: transports, "it is let in")
        await asyncio.sleep(0.05)
        assert await asyncio.wait_for(asyncio.to_thread(speak, channel, b""), LIMIT_S / 3) == b"no"
        channel.close()
        for transport in transports:
            transport.abort()
        listener.close()
        await asyncio.sleep(0)

    if not url.startswith("mqtt"):  # its link is made by the sender's first word
        asyncio.run(life())


def test_a_hub_that_ends_is_noticed_at_once(tmp_path: Path, url: str) -> None:
    async def life() -> None:
        async with running(tmp_path, listen_url=url) as hub, contextlib.AsyncExitStack() as stack:
            one = Sensor((await hub.invite()).url, "a", list(range(10)))
            await true(lambda: one.sender.wait(1) or one.sender.state == "up", "it is up")
            one.sender.poller.unregister(one.sender._polled)
            poller = select.poll()
            poller.register(one.sender._polled, select.POLLIN)
            stack.callback(one.sender._channel.close)
            await hub.stop()
            assert await asyncio.to_thread(poller.poll, LIMIT_S * 1000)
            with contextlib.suppress(BlockingIOError):
                assert one.sender._channel.recv(4096) == b""

    asyncio.run(life())


# -- who is let in, and where


@pytest.fixture(params=["unix", "shm"])
def path_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}:{tmp_path}/hub.sock"


def test_a_socket_is_for_this_user_alone_and_goes_with_the_hub(tmp_path: Path, path_url: str) -> None:
    async def life() -> None:
        path = path_url.partition(":")[2]
        async with running(tmp_path, listen_url=path_url):
            assert os.stat(path).st_mode & 0o777 == 0o600
        assert not os.path.exists(path)

    asyncio.run(life())


def test_a_socket_that_a_killed_hub_left_is_replaced_and_a_living_one_is_not(tmp_path: Path, path_url: str) -> None:
    path = path_url.partition(":")[2]
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    check_free(path_url)

    async def life() -> None:
        async with running(tmp_path, listen_url=path_url):
            with pytest.raises(OSError, match="another hub"):
                check_free(path_url)
            with pytest.raises(OSError, match="another hub"):
                await listen(path_url, asyncio.Protocol)
            assert os.path.exists(path)

    asyncio.run(life())
    Path(path).write_text("mine")
    with pytest.raises(OSError, match="no socket"):
        check_free(path_url)
    assert Path(path).read_text() == "mine"


def test_several_connections_at_once(tmp_path: Path) -> None:
    urls = ["tcp://127.0.0.1:0", f"unix:{tmp_path}/u.sock", "queue:several", f"shm:{tmp_path}/m.sock"]

    async def life() -> None:
        async with running(tmp_path, listen_url=urls, network_in_flight=5) as hub:
            sensors = [Sensor(url, f"s{i}", list(range(200))) for i, url in enumerate(hub.urls)]
            for one in sensors:
                one.start()
            for one in sensors:
                await asyncio.to_thread(one.join, LIMIT_S)

    asyncio.run(life())
    for i in range(len(urls)):
        assert len(stored_of(tmp_path, f"s{i}")) == 200


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("unix:", "unix:bourn.sock"),
        ("unix:" + "x" * 108, "107"),
        ("shm:", "shm:bourn.sock"),
        ("pipe:", "pipe:3"),
        ("pipe:x", "pipe:3"),
        ("mpqueue:", "mpqueue:3"),
        ("mpqueue:x", "mpqueue:3"),
        ("queue:", "queue:hub"),
        ("queue:a b", "queue:hub"),
        ("carrier-pigeon:", "tcp://127.0.0.1:7007"),
    ],
)
def test_a_url_that_is_none_is_told_so(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_url(url)
    if url not in ("pipe:", "mpqueue:"):
        with pytest.raises(ValueError):
            check_free(url)


def test_a_peer_that_lies_about_its_memory_is_cut(tmp_path: Path) -> None:
    """It says to have written more than there is room for, or to have freed what was not written."""
    url = f"shm:{tmp_path}/m.sock"

    async def life() -> None:
        async with running(tmp_path, listen_url=url) as hub:
            for lie in ((1 << 31, 0), (0, 1)):
                channel = open_connection(url)
                await let_in(hub, channel)
                channel.polled.send(lie[0].to_bytes(4, "big") + lie[1].to_bytes(4, "big"))
                await true(lambda: not hub.ingest.links, "it is cut")
                channel.close()
            assert "room" in hub.ingest.errors[-1]["text"]

    asyncio.run(life())


def test_shared_memory_cannot_be_made_shorter_under_the_hub(tmp_path: Path) -> None:
    url = f"shm:{tmp_path}/m.sock"

    async def life() -> None:
        async with running(tmp_path, listen_url=url) as hub:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(url.partition(":")[2])
                await true(lambda: hub.ingest.links, "it is let in")
                _, fds, _, _ = socket.recv_fds(peer, 64, 1)
                with pytest.raises(PermissionError):
                    os.ftruncate(fds[0], 0)
                os.close(fds[0])

    asyncio.run(life())


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """No test leaves a descriptor behind; threads of queues close theirs when they have heard of the end."""
    resource_tracker.ensure_running()  # which multiprocessing does once, with a descriptor
    before = len(os.listdir("/proc/self/fd"))
    yield
    until(lambda: len(os.listdir("/proc/self/fd")) <= before, "all descriptors are closed")
