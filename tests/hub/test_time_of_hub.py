"""A board that knows no time asks a real hub for it, over each kind of connection that a board may have."""

import asyncio
import time
from pathlib import Path

import pytest
from peer import running
from servers import free_port, mosquitto

from bourn.cli.certificate import make_certificate
from bourn.clock import Clock
from bourn.device.board_clock import BoardClock
from bourn.device.hub_time import HubTime

ASK_MS = 20_000


class Year2000(Clock):
    """A machine's clock as boards have it when the power comes; its tick counter is the real one."""

    def wall(self) -> int:
        return 946_684_800_000 + self.now()  # type: ignore[no-any-return] # MicroPython's side has no types


def ask(url: str) -> tuple[BoardClock, HubTime]:
    clock = BoardClock(Year2000())
    link = HubTime(clock, url)
    link.wait(ASK_MS)
    link.close()
    return clock, link


@pytest.mark.parametrize("kind", ["tcp", "tls", "unix", "mqtt"])
def test_a_hub_says_what_time_it_is(tmp_path: Path, kind: str) -> None:
    port, listen, url = free_port(), "", ""
    if kind == "tls":
        make_certificate(["localhost"], str(tmp_path / "c"))
        listen = f"tls://127.0.0.1:{port}?cert={tmp_path}/c/hub.pem&key={tmp_path}/c/hub.key"
        url = f"tls://localhost:{port}?ca={tmp_path}/c/ca.pem"
    elif kind == "unix":
        listen = url = f"unix:{tmp_path}/b.sock"
    elif kind == "mqtt":
        listen = url = f"mqtt://127.0.0.1:{port}/b"
    else:
        listen = url = f"tcp://127.0.0.1:{port}"

    async def life() -> None:
        async with running(tmp_path, listen_url=listen) as hub:
            clock, link = await asyncio.to_thread(ask, url)
            assert link.counters == {"asked": 1, "set": 1, "failures": 0}, link.last_error
            assert abs(clock.wall() - time.time() * 1000) <= link.error_ms + 20
            for _ in range(200):
                if not hub.status()["links"]:
                    break
                await asyncio.sleep(0.02)
            assert not hub.status()["links"] and hub.journal.rows == 0, "who only asks leaves nothing behind"

    if kind == "mqtt":
        with mosquitto(tmp_path, port):
            asyncio.run(life())
    else:
        asyncio.run(life())
