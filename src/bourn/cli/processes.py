"""Sensors in processes of their own: started, restarted when they die, stopped in order.

A node ends when its standard input ends, so none outlives this process, whatever becomes of it.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from bourn.cli.config import ConfigError
from bourn.cli.spawned import SpawnedProcess
from bourn.hub.connections import Invitation

RESTART_S = 1.0  # after which a node that died is started again
STOP_S = 3.2  # in which nodes have to end; then they are killed
SETTINGS_WRONG = 2  # the exit status of a node that need not be started again
ARGUMENT_BYTES = 240  # of one argument of a node; it puts them together
LINK_ENDED = 3  # of one whose connection cannot be opened again: its readings are in its outbox
NO_PROGRAM = (errno.ENOENT, errno.EACCES, errno.ENOEXEC)  # another try will not run it either
OUTPUT_BYTES = 65_536  # of what a node says; the rest is thrown away


def find_micropython() -> str | None:
    """The MicroPython interpreter beside this Python, or on the PATH; None when there is none."""
    beside = os.path.join(os.path.dirname(sys.executable), "micropython")
    return beside if os.access(beside, os.X_OK) else shutil.which("micropython")


def added(before: dict[str, Any] | None, report: dict[str, Any]) -> dict[str, Any]:
    """The report of a node that was started again: the counters of all its runs, and what else the last one said."""
    if before is None:
        return report
    return {
        key: value + before.get(key, 0) if isinstance(value, int) and key != "waiting" else value
        for key, value in report.items()
    }


class NodeProcess:
    """One node: its settings, its process while it runs, and the report it gave at the end."""

    def __init__(
        self,
        settings: dict[str, Any],
        invite: Callable[[], Awaitable[Invitation]],
        interpreter: str | None,
        told: Callable[[str], None],
        broken: Callable[[str], None],
        linked: Callable[[str, str | None], None],
    ) -> None:
        """`invite` gives what it needs to reach the hub, at each start.

        `told` hears that it died and is started again, `broken` that its settings can't work, `linked` its name and
        why it does not reach the hub, or None when it does again.
        """
        self.settings = settings
        self.report: dict[str, Any] | None = None
        self.killed = False
        self._invite = invite
        self._interpreter = interpreter or sys.executable
        self._told = told
        self._broken = broken
        self._linked = linked
        self._process: asyncio.subprocess.Process | SpawnedProcess | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process. ConfigError when its interpreter cannot be run."""
        try:
            await self._spawn()
        except OSError as e:
            raise ConfigError(f"sensor {self.settings['source']} cannot be started: {e.strerror or e}") from e
        self._task = asyncio.create_task(self._watch(), name=f"node-{self.settings['source']}")

    async def stop(self) -> None:
        """Let it drain and end; kill it if it does not."""
        self._stopping.set()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        if self._task is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self._task), STOP_S)
            except TimeoutError:
                self.kill()
                await self._task

    def kill(self) -> None:
        """End the process at once; what it had accepted is in its outbox."""
        if self._process is not None and self._process.returncode is None:
            self.killed = True
            self._process.kill()

    async def _spawn(self) -> None:
        invitation = await self._invite()
        try:
            self._process = await self._started(invitation)
        except OSError as e:
            if e.errno not in NO_PROGRAM:
                raise
            raise ConfigError(
                f"the interpreter {self._interpreter} cannot be run: {e.strerror}; see --micropython"
            ) from e
        finally:
            invitation.close()
        if self._stopping.is_set() and self._process.stdin is not None:  # asked to while it was being started
            self._process.stdin.close()

    async def _started(self, invitation: Invitation) -> asyncio.subprocess.Process | SpawnedProcess:
        arguments = _arguments({**self.settings, "hub": invitation.url})
        if invitation.queues is not None:
            return await SpawnedProcess.start(arguments, invitation.queues)
        source_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        env = dict(os.environ, MICROPYPATH=source_root + ":.frozen")
        if self._interpreter == sys.executable:
            env["PYTHONPATH"] = os.pathsep.join([source_root, *filter(None, [env.get("PYTHONPATH")])])
        return await asyncio.create_subprocess_exec(
            self._interpreter,
            "-m",
            "bourn.device.node",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
            pass_fds=invitation.descriptors,
            start_new_session=True,  # Ctrl-C in the terminal is for the one who started us all
        )

    async def _listen(self, stream: asyncio.StreamReader) -> str:
        """The last line of what it complains of; what it says of its link is handed on at once."""
        last = rest = b""
        while data := await stream.read(4096):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-OUTPUT_BYTES:]
            for line in lines:
                if line.startswith(b"link: "):
                    why = line[6:].decode(errors="replace")
                    self._linked(self.settings["source"], None if why == "up" else why)
                elif line.strip():
                    last = line
        return (rest.strip() or last).decode(errors="replace").strip()

    async def _watch(self) -> None:
        while True:
            assert self._process is not None
            assert self._process.stdout is not None and self._process.stderr is not None
            said, complained = await asyncio.gather(_tail(self._process.stdout), self._listen(self._process.stderr))
            status = await self._process.wait()
            if said and status in {0, LINK_ENDED}:
                self._take_report(said.splitlines()[-1])
            if self._stopping.is_set():
                return
            reason = complained.removeprefix("bourn node: ") or f"status {status}"
            if status == SETTINGS_WRONG:
                self._broken(f"sensor {self.settings['source']}: {reason}")
                return
            self._told(f"sensor {self.settings['source']} ended ({reason}); starting it again")
            if not await self._started_again():
                return

    async def _started_again(self) -> bool:
        """After a pause, and as often as it takes: descriptors or memory may be wanting. False: it is not to be."""
        while True:
            try:
                await asyncio.wait_for(self._stopping.wait(), RESTART_S)
                return False
            except TimeoutError:
                pass
            try:
                await self._spawn()
                return True
            except ConfigError as e:
                self._broken(str(e))
                return False
            except OSError as e:
                self._told(f"sensor {self.settings['source']} cannot be started: {e}; trying again")

    def _take_report(self, line: str) -> None:
        try:
            report = json.loads(line)
        except ValueError:
            report = None
        if isinstance(report, dict):
            self.report = added(self.report, report)
        else:
            self._told(f"sensor {self.settings['source']} gave no report at its end, but {line[:80]!r}")


def _arguments(settings: dict[str, Any]) -> list[str]:
    """The settings in pieces: MicroPython dies of an argument of more than 255 bytes."""
    text = json.dumps(settings)
    return [text[i : i + ARGUMENT_BYTES] for i in range(0, len(text), ARGUMENT_BYTES)]


async def _tail(stream: asyncio.StreamReader) -> str:
    """The end of what a process says until it closes the stream."""
    kept = b""
    while data := await stream.read(4096):
        kept = (kept + data)[-OUTPUT_BYTES:]
    return kept.decode(errors="replace")
