"""Sensors' programs are started again whatever becomes of them, and the hub is stopped in order whatever they do."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from test_connections import true

from bourn.cli import processes, threads
from bourn.cli.config import ConfigError, SensorSettings
from bourn.cli.processes import NodeProcess, added
from bourn.cli.supervisor import Supervisor
from bourn.cli.threads import ThreadNode
from bourn.hub.connections import Invitation
from bourn.hub.hub import Hub

SETTINGS: dict[str, Any] = {"source": "s", "outbox": "o", "sensors": []}


def program(folder: Path, text: str) -> str:
    """An interpreter that does what a shell script says."""
    path = folder / "interpreter"
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(0o755)
    return str(path)


def unlinked(source: str, why: str | None) -> None:
    """Nobody asks for the link here."""


def starts(folder: Path) -> int:
    """How often it was started."""
    path = folder / "started"
    return path.read_text().count("x") if path.exists() else 0


def inviting(failures: list[OSError | None]) -> Callable[[], Awaitable[Invitation]]:
    """Invitations, some of which fail."""

    async def invite() -> Invitation:
        failure = failures.pop(0) if failures else None
        if failure is not None:
            raise failure
        return Invitation("tcp://127.0.0.1:1")

    return invite


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "RESTART_S", 0.01)
    monkeypatch.setattr(threads, "RESTART_S", 0.01)


def test_a_restart_that_fails_for_want_of_descriptors_is_tried_again(tmp_path: Path) -> None:
    said: list[str] = []
    broken: list[str] = []
    failures: list[OSError | None] = [
        None,
        OSError(errno.EMFILE, "too many open files"),
        OSError(errno.EMFILE, "too many open files"),
        None,
    ]

    async def main() -> None:
        interpreter = program(tmp_path, "echo x >> started; exit 1")
        node = NodeProcess(
            {**SETTINGS},
            inviting(failures),
            interpreter,
            said.append,
            broken.append,
            unlinked,
        )
        await node.start()
        await true(lambda: starts(tmp_path) >= 3, "it is started again")
        await node.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        asyncio.run(main())
    assert not broken and sum("too many open files" in line for line in said) == 2


def test_what_a_program_says_that_is_no_report_is_told(tmp_path: Path) -> None:
    said: list[str] = []

    async def main() -> None:
        interpreter = program(tmp_path, "echo x >> started; echo good-bye; exit 0")
        node = NodeProcess({**SETTINGS}, inviting([]), interpreter, said.append, said.append, unlinked)
        await node.start()
        await true(lambda: starts(tmp_path) >= 3, "it is started again")
        await node.stop()
        assert node.report is None

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        asyncio.run(main())
    assert any("no report" in line and "good-bye" in line for line in said)


def test_an_interpreter_that_is_none_is_told_at_once(tmp_path: Path) -> None:
    for failure in (None, OSError(errno.EMFILE, "too many open files")):
        node = NodeProcess({**SETTINGS}, inviting([failure]), str(tmp_path / "no"), print, print, unlinked)
        with pytest.raises(ConfigError):
            asyncio.run(node.start())


def test_a_thread_is_started_again_whatever_the_invitation(tmp_path: Path) -> None:
    said: list[str] = []
    failures: list[OSError | None] = [OSError(errno.EMFILE, "too many open files")]
    settings = {**SETTINGS, "outbox": str(tmp_path / "o"), "drain_ms": 0}

    async def main() -> None:
        node = ThreadNode(settings, inviting(failures), said.append, said.append)
        await node.start()
        await true((tmp_path / "o").exists, "it runs")
        await node.stop()
        assert node.report is not None

    asyncio.run(main())
    assert len(said) == 1 and "too many open files" in said[0]


def test_reports_of_several_runs_may_differ() -> None:
    assert added({"sent": 1, "last_error": None}, {"sent": 2, "held": 3, "last_error": "x"}) == {
        "sent": 3,
        "held": 3,
        "last_error": "x",
    }


def test_a_sensor_that_cannot_be_stopped_keeps_nobody_from_stopping_the_hub(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        hub = Hub(str(tmp_path / "j.db"))
        await hub.start()
        sensors = [SensorSettings("s", "random", 1.0)]
        supervisor = Supervisor(hub, None, sensors, str(tmp_path / "o"), None, asyncio.Event())
        (node,) = supervisor._nodes

        async def broken() -> None:
            raise RuntimeError("it does not listen (by the test)")

        whole, node.stop = node.stop, broken  # type: ignore[method-assign]  # the real one, made to fail
        await supervisor.run(0.1)
        await whole()
        assert hub.stopping and hub.journal._closed

    asyncio.run(main())
    assert "sensor s: it does not listen" in capsys.readouterr().out
