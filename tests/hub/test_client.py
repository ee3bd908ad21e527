"""The client of one's own program: what `send` waits for, what asyncio awaits, what is refused, and what survives."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from peer import LIMIT_S, Gate, readings, running
from processes import SOURCE, finish, node

from bourn.device.client import Client, ClientClosed


def values(folder: Path) -> list[Any]:
    """What is stored, in the order in which it was taken."""
    return [json.loads(str(val)) for _, _, _, val in readings(folder)]


async def in_thread(function: Any, *arguments: Any) -> Any:
    return await asyncio.wait_for(asyncio.to_thread(function, *arguments), LIMIT_S)


@pytest.mark.parametrize("durable", [False, True], ids=["ram", "disk"])
def test_beyond_the_limit_it_waits_awaits_or_refuses(tmp_path: Path, durable: bool) -> None:
    outbox = str(tmp_path / "outbox") if durable else None

    async def life() -> None:
        async with running(tmp_path) as hub:
            gate = Gate(hub)
            gate.shut()
            client = await in_thread(lambda: Client(hub.url, "c", outbox, in_flight=5))
            for i in range(5):
                await in_thread(client.send, "s", i)
            assert client.unacknowledged() == 5
            assert not await in_thread(client.try_send, "s", "refused")
            with pytest.raises(TimeoutError):
                await in_thread(lambda: client.send("s", "too late", timeout=0.05))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.asend("s", "too late as well"), 0.05)
            waiting = [threading.Thread(target=client.send, args=("s", 5), daemon=True)]
            waiting[0].start()
            while not client._asking:
                await asyncio.sleep(0.001)
            awaiting = asyncio.create_task(client.asend("s", 6))
            await asyncio.sleep(0.01)
            assert waiting[0].is_alive() and not awaiting.done() and client.unacknowledged() == 5
            gate.open()
            await asyncio.wait_for(awaiting, LIMIT_S)
            await in_thread(waiting[0].join)
            assert await asyncio.wait_for(client.aflush(), LIMIT_S)
            assert client.unacknowledged() == 0
            assert await in_thread(client.close) == 0
            assert client.sender.counters["acked"] == 7

    asyncio.run(life())
    assert values(tmp_path) == list(range(7))


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "queue:client"])
def test_many_threads_and_tasks_at_once(tmp_path: Path, url: str) -> None:
    """Each keeps its order, none is lost, and never more than allowed is unacknowledged."""

    async def life() -> None:
        async with running(tmp_path, listen_url=url) as hub:
            client = await in_thread(lambda: Client(hub.url, "c", in_flight=20))
            peak = 0

            def work(name: int) -> None:
                nonlocal peak
                for i in range(200):
                    client.send("s", [name, i])
                    peak = max(peak, client.unacknowledged())

            async def task(name: int) -> None:
                for i in range(200):
                    await client.asend("s", [name, i])

            await asyncio.gather(*[in_thread(work, n) for n in range(3)], *[task(n) for n in range(3, 6)])
            assert await in_thread(client.close) == 0
            assert peak <= 20

    asyncio.run(life())
    got = values(tmp_path)
    assert len(got) == 1200
    for name in range(6):
        assert [i for who, i in got if who == name] == list(range(200))


def test_what_was_taken_survives_the_program(tmp_path: Path) -> None:
    """It is killed as soon as `send` has returned, with no hub there; the next client over the folder sends it."""
    program = (
        "import os, signal; from bourn import Client\n"
        "client = Client('tcp://127.0.0.1:1', 'c', 'outbox')\n"
        "for i in range(50): client.send('s', i)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SOURCE)},
        timeout=LIMIT_S,
        check=False,
        capture_output=True,
    )
    assert done.returncode == -9, done.stderr

    async def life() -> None:
        async with running(tmp_path) as hub:
            client = await in_thread(lambda: Client(hub.url, "c", str(tmp_path / "outbox")))
            await in_thread(client.send, "s", 50)
            assert await in_thread(client.close) == 0

    asyncio.run(life())
    assert values(tmp_path) == list(range(51))


def test_what_no_hub_could_store_is_told_and_closing_ends_all_waits(tmp_path: Path) -> None:
    client = Client("tcp://127.0.0.1:1", "c", in_flight=1)
    for val in (float("nan"), object(), 1 << 70):
        with pytest.raises(ValueError):
            client.send("s", val)
    with pytest.raises(ValueError):
        client.send("", 1)
    client.send("s", 1)
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            client.send("s", 2)
        except ClientClosed as e:
            failed.append(e)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    while not client._asking:
        time.sleep(0.001)
    assert client.close(timeout=0.1) == 1
    waiting.join(LIMIT_S)
    assert len(failed) == 1
    with pytest.raises(ClientClosed):
        client.try_send("s", 3)
    for wrong in ({"in_flight": 0}, {"url": "pigeon:x"}, {"source": "a b"}):
        with pytest.raises(ValueError):
            Client(**{"url": "tcp://127.0.0.1:1", "source": "c", **wrong})  # type: ignore[arg-type]  # that is the test


def test_it_sleeps_while_there_is_nothing_to_do(tmp_path: Path) -> None:
    async def life() -> None:
        async with running(tmp_path) as hub:
            client = await in_thread(lambda: Client(hub.url, "c"))
            await in_thread(client.send, "s", 1)
            assert await client.aflush()
            await asyncio.sleep(0.1)
            wakes = 0
            wait = client.sender.wait

            def counted(ms: int) -> bool:
                nonlocal wakes
                wakes += 1
                return wait(ms)

            client.sender.wait = counted  # type: ignore[method-assign]  # it counts, and then does what it did
            await asyncio.sleep(0.5)
            assert wakes <= 1
            await in_thread(client.close)

    asyncio.run(life())


# -- two programs, one outbox


def test_two_programs_do_not_share_an_outbox(tmp_path: Path) -> None:
    outbox = str(tmp_path / "outbox")
    with contextlib.closing(Client("tcp://127.0.0.1:1", "c", outbox)) as client:
        client.send("s", 1)
        with pytest.raises(OSError, match="another program uses the outbox"):
            Client("tcp://127.0.0.1:1", "c", outbox)
        settings = {"source": "c", "hub": "tcp://127.0.0.1:1", "outbox": outbox, "sensors": []}
        with node(tmp_path, settings) as second:
            assert second.ended() == 2
            assert "another program uses the outbox" in second.err[-1]
        client.close(0.01)
    with node(tmp_path, settings) as third:
        assert finish(third)["waiting"] == 1


def test_who_gave_up_leaves_nothing_and_disturbs_no_close() -> None:
    """While the hub is away a program may try for days."""

    async def life() -> int:
        client = Client("tcp://127.0.0.1:1", "c", in_flight=1)
        await in_thread(client.send, "s", 1)
        for i in range(20):
            with pytest.raises(TimeoutError):
                await in_thread(lambda i=i: client.send("s", i, timeout=0.001))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.asend("s", i), 0.001)
        assert not client._asking
        late = [threading.Thread(target=give_up, args=(client,), daemon=True) for _ in range(10)]
        for one in late:
            one.start()
        left = await in_thread(client.close, 0.05)
        for one in late:
            await in_thread(one.join)
        assert not client._thread.is_alive()
        return left

    assert asyncio.run(life()) == 1


def give_up(client: Client) -> None:
    """Some time out before the close, some are told of it."""
    with pytest.raises((TimeoutError, ClientClosed)):
        client.send("s", 0, timeout=0.002)


@pytest.mark.parametrize("durable", [False, True], ids=["ram", "disk"])
def test_a_pipe_that_has_ended_is_told_to_whoever_sends(tmp_path: Path, durable: bool) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    outbox = str(tmp_path / "outbox") if durable else None
    client = Client(f"pipe:{near.detach()}", "c", outbox, in_flight=2)
    client.send("s", 1)
    client.send("s", 2)
    waiting = threading.Thread(target=give_up_at_the_end, args=(client,), daemon=True)
    waiting.start()
    while not client._asking:
        time.sleep(0.001)
    far.close()
    waiting.join(LIMIT_S)
    assert not waiting.is_alive()
    assert client.flush(LIMIT_S) is False
    with pytest.raises(ClientClosed, match="pipe:"):
        client.send("s", 4)
    assert client.close() == 2


def give_up_at_the_end(client: Client) -> None:
    with pytest.raises(ClientClosed):
        client.send("s", 3)
