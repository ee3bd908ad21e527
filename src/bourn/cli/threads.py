"""Sensors in threads of this process: started, restarted when they fail, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from bourn.cli.config import ConfigError
from bourn.cli.processes import RESTART_S, STOP_S, added
from bourn.device.node import Node
from bourn.hub.connections import Invitation


class ThreadNode:
    """One node in a thread: its settings, and the report it gave at the end. Used as a NodeProcess is."""

    def __init__(
        self,
        settings: dict[str, Any],
        invite: Callable[[], Awaitable[Invitation]],
        told: Callable[[str], None],
        broken: Callable[[str], None],
    ) -> None:
        """`told` hears that it failed and is started again, `broken` that its settings can't work."""
        self.settings = settings
        self.report: dict[str, Any] | None = None
        self.killed = False
        self._invite = invite
        self._told = told
        self._broken = broken
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ours, self._theirs = socket.socketpair()  # the end of ours is the word to stop

    async def start(self) -> None:
        """Start the thread. ConfigError when its settings are wrong."""
        self._task = asyncio.create_task(self._watch(), name=f"node-{self.settings['source']}")

    async def stop(self) -> None:
        """Let it drain and end; leave it behind if it does not."""
        self._stopping.set()
        self._ours.close()
        if self._task is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self._task), STOP_S)
                self._theirs.close()
            except TimeoutError:
                self.kill()
                self._task.cancel()

    def kill(self) -> None:
        """Wait for it no longer: it ends with this process, and what it had accepted is in its outbox."""
        self.killed = True

    async def _watch(self) -> None:
        source = self.settings["source"]
        while not self._stopping.is_set():
            ended = asyncio.get_running_loop().create_future()
            try:
                settings = {**self.settings, "hub": (await self._invite()).url}
            except OSError as e:
                self._told(f"sensor {source} cannot be started: {e}; trying again")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RESTART_S)
                continue
            threading.Thread(target=self._run, args=(settings, ended), name=f"sensor-{source}", daemon=True).start()
            try:
                report, reason = await ended
            except ConfigError as e:
                self._broken(f"sensor {source}: {e}")
                return
            self.report = added(self.report, report)
            if self._stopping.is_set():
                return
            self._told(f"sensor {source} ended ({reason}); starting it again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RESTART_S)

    def _run(self, settings: dict[str, Any], ended: asyncio.Future[Any]) -> None:
        """In the thread: what became of it is the result of `ended`."""
        loop = ended.get_loop()

        def tell(result: Any, error: Exception | None) -> None:
            if not ended.done():
                if error is None:
                    ended.set_result(result)
                else:
                    ended.set_exception(error)

        result, error = None, None
        try:
            node = Node(settings)
        except (KeyError, ValueError, TypeError, ImportError, OSError) as e:
            error = ConfigError(f"{type(e).__name__}: {e}")
        else:
            try:
                node.run(self._theirs)
                result = (node.report(), node.sender.last_error)
            except Exception as e:  # the edge of the thread: it is told, and the node started again
                result = (node.report(), f"{type(e).__name__}: {e}")
                node.sender.close()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile, and nobody asks any more
            loop.call_soon_threadsafe(tell, result, error)
