"""All of it with the real parts: an interpreter, MQTT over verified TLS, a broker, the hub and its journal, and faults.

Between sensor and broker the network is cut, and the broker is killed and forgets what it held: every reading that the
outbox accepted is in the journal once.
"""

import asyncio
import contextlib
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import check_complete, count, finish, hub, until
from servers import free_port, mosquitto
from test_tls_connection import node

from bourn.cli.certificate import make_certificate

PIECE = 4096
PERIOD_S = 0.02  # between two readings
KEEP_USER = ["user root"] if os.geteuid() == 0 else []  # else mosquitto could not read what pytest has written


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `bourn certificate localhost` makes."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificate(["localhost"], str(folder))
    return folder


class Wire:
    """A network between whoever connects to `port` and a server on this machine: `cut()` ends all that go through it.

    While it is cut nobody gets through.
    """

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self.carried = 0  # connections
        self._to_port = to_port
        self._whole = True
        self._ends: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Wire":
        self._thread.start()
        server = self._do(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *error: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut(self) -> None:
        """From now on nothing goes through."""

        async def cut() -> None:
            self._whole = False
            for end in list(self._ends):
                end.transport.abort()

        self._do(cut())

    def mend(self) -> None:
        """From now on it carries again."""
        self._whole = True

    def _do(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        with contextlib.suppress(OSError):  # the server is not there, or one of the two has gone: so has the other
            if self._whole:
                there, away = await asyncio.open_connection("127.0.0.1", self._to_port)
                self._ends.add(away)
                self.carried += 1
                ways = [asyncio.create_task(self._copy(*way)) for way in ((reader, away), (there, writer))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                away.transport.abort()
                self._ends.discard(away)
                await asyncio.gather(*ways)
        writer.transport.abort()
        self._ends.discard(writer)

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE):
                writer.write(piece)
                await writer.drain()


@contextlib.contextmanager
def tls_broker(folder: Path, port: int, certificates: Path) -> Iterator[Any]:
    """A broker that speaks TLS only, and keeps nothing on disk."""
    files = [f"certfile {certificates}/hub.pem", f"keyfile {certificates}/hub.key"]
    with mosquitto(folder, port, *files, *KEEP_USER) as process:
        yield process


@pytest.mark.parametrize("lane", ["mpy-armhf", "cpython"])
def test_every_reading_the_outbox_accepted_is_in_the_journal_once(
    tmp_path: Path, certificates: Path, lane: str, seed: int
) -> None:
    chance = random.Random(seed)
    port = free_port()
    trust = f"/plant?ca={certificates}/ca.pem"
    settings = {"sensors": [{"kind": "random", "name": "s1", "every": PERIOD_S}], "drain_ms": 30_000}
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(contextlib.ExitStack())
        process = broker.enter_context(tls_broker(tmp_path, port, certificates))
        server = stack.enter_context(hub(tmp_path, "--in-flight", "20", listen=f"mqtts://localhost:{port}{trust}"))
        server.said(r"^hub +mqtts://localhost")
        wire = stack.enter_context(Wire(port))
        sensor = stack.enter_context(node(tmp_path, f"mqtts://localhost:{wire.port}{trust}", lane, **settings))
        goes_on(tmp_path)
        for fault in chance.sample(["cut", "kill", "both"], 3):
            print(fault, count(tmp_path), "stored")
            if fault != "kill":
                wire.cut()
            if fault != "cut":
                process.kill()
                broker.close()
                process = broker.enter_context(tls_broker(tmp_path, port, certificates))
            wire.mend()
            goes_on(tmp_path)
        report = finish(sensor)
        server.interrupt()
        assert server.ended() == 0
    print(lane, seed, report, wire.carried)
    assert report["waiting"] == 0 and report["dropped"] == 0
    assert report["links"] >= 3 and wire.carried >= 4
    assert sum(check_complete(tmp_path).values()) == report["appended"] > 30


def goes_on(folder: Path) -> None:
    """Wait until more is stored."""
    before = count(folder)
    until(lambda: count(folder) > before + 5, "readings come")
