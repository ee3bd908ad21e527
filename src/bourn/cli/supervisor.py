"""Runs sensors' processes or threads and, where it is here, the hub; ends them in order and says what was done."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

from bourn import __version__
from bourn.cli.config import ConfigError, SensorSettings
from bourn.cli.processes import NodeProcess
from bourn.cli.threads import ThreadNode
from bourn.device.sensors import KINDS
from bourn.hub.connections import Invitation

if TYPE_CHECKING:
    from bourn.hub.hub import Hub

NO_NAME = "Name or service not known"  # as CPython says it
MOST_REASONS = 20  # why the hub cannot be reached, told until all sensors have reached it; the rest is in the report


class Supervisor:
    """Sensors, each a source in a process or thread of its own with an outbox below `outbox`, and perhaps a hub."""

    def __init__(
        self,
        hub: Hub | None,
        hub_url: str | None,
        sensors: list[SensorSettings],
        outbox: str,
        micropython: str | None,
        stop: asyncio.Event,
        threads: bool = False,
    ) -> None:
        """`stop`, once set, ends it. ConfigError when the folder of the outboxes can't be used."""
        self._hub = hub
        self._stop = stop
        self._broken: str | None = None
        self._outbox = outbox
        self._away: dict[str, str] = {}  # why a source does not reach the hub
        self._said: set[str] = set()  # of these reasons, since all were there
        if sensors:
            _check_folder(outbox)
        self._hub_urls = hub.urls if hub else [hub_url or ""]
        self._threads = threads
        self._nodes = [
            self._node(s, outbox, micropython if s is sensors[-1] and KINDS[s.kind][0] != "system" else None)
            for s in sensors
        ]
        self._on_micropython = bool(sensors and micropython and KINDS[sensors[-1].kind][0] != "system")

    def _node(self, sensor: SensorSettings, outbox: str, micropython: str | None) -> NodeProcess | ThreadNode:
        settings = {
            "source": sensor.name,
            "outbox": os.path.abspath(os.path.join(outbox, sensor.name)),
            "sensors": [{**sensor.options, "kind": sensor.kind, "name": sensor.name, "every": sensor.every}],
            "keys": sensor.keys,
        }
        if self._threads:
            return ThreadNode(settings, self._invite, _say, self._give_up)
        return NodeProcess(settings, self._invite, micropython, _say, self._give_up, self._linked)

    async def _invite(self) -> Invitation:
        return await self._hub.invite() if self._hub else Invitation(self._hub_urls[0])

    async def run(self, seconds: float | None) -> None:
        """Until Ctrl-C, SIGTERM or `seconds` have passed; then stop everything and say what was done."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        self._say_hello(seconds)
        try:
            for node in self._nodes:
                await node.start()
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            self._stop.set()
        finally:
            ended = await asyncio.gather(*[node.stop() for node in self._nodes], return_exceptions=True)
            for node, e in zip(self._nodes, ended, strict=True):
                if e is not None:  # whatever it is, the hub is stopped in order
                    _say(f"sensor {node.settings['source']}: {e or type(e).__name__}")
            if self._hub:
                await self._hub.stop()
        self._say_goodbye()
        if self._broken:
            raise ConfigError(self._broken)

    def _give_up(self, why: str) -> None:
        self._broken = self._broken or why
        self._stop.set()

    def _linked(self, source: str, trouble: str | None) -> None:
        """Tell whoever waits: each reason once, however many sensors have it, and that all is well again."""
        if trouble is not None:
            self._away[source] = why = _plain(trouble)
            if why not in self._said and len(self._said) < MOST_REASONS and not self._stop.is_set():
                self._said.add(why)
                _say(f"sensor {source}: {why}; it tries again, and its readings wait in {self._outbox}")
        elif self._away.pop(source, None) and not self._away:
            self._said.clear()
            _say("every sensor reaches the hub again")

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():  # a second time: the user does not want to wait
            for node in self._nodes:
                node.kill()
        elif self._nodes:
            _say("stopping: the sensors send what they still have (again Ctrl-C: at once)")
        self._stop.set()

    def _say_hello(self, seconds: float | None) -> None:
        hub = self._hub
        lines = [f"Bourn {__version__}"]
        if self._nodes:
            several = len(self._nodes) > 1
            where = f", {'the last one ' * several}on MicroPython" if self._on_micropython else ""
            what = "thread" if self._threads else "process"
            lines.append(f"sensors  {len(self._nodes)}, {'each ' * several}in a {what} of its own{where}")
        lines += [f"hub      {url}" for url in self._hub_urls]
        if hub:
            lines.append(f"journal  {hub.journal.path} ({hub.journal.rows} readings)")
            if hub.page and (hub.plot or hub.monitor):
                lines.append(f"page     {hub.page.url}")
        lines.append(f"ends     {f'after {seconds:g} s, or ' if seconds else ''}with Ctrl-C")
        _say("\n".join(lines))

    def _say_goodbye(self) -> None:
        if self._nodes:
            reports = [node.report for node in self._nodes if node.report]
            sent, acked, waiting = [sum(int(r[key]) for r in reports) for key in ("sent", "acked", "waiting")]
            stored = f", stored {self._hub.stored}" if self._hub else ""
            _say(f"readings: sent {sent}, acknowledged {acked}{stored}")
            known = sum(int(r["known"]) for r in reports)
            if known:
                _say(f"the hub had {known} readings of an earlier run already")
            if waiting:
                some = "1 reading waits" if waiting == 1 else f"{waiting} readings wait"
                _say(f"{some} in {self._outbox} for the next run")
            self._tell_trouble(reports)
        elif self._hub:
            _say(f"readings: stored {self._hub.stored}")
        lagging = [d.repository.url for d in self._hub.drivers if d.repository.keeps and d.lag] if self._hub else []
        for url in lagging:
            _say(f"{url} has not got everything; the journal has, and gives it the rest the next time")

    def _tell_trouble(self, reports: list[dict[str, Any]]) -> None:
        for node in self._nodes:
            if node.killed:
                _say(f"sensor {node.settings['source']} had to be killed; what it had is in its outbox")
        for report in reports:
            lost = {k: report[k] for k in ("dropped", "refused", "invalid", "lost", "sensor_failures") if report[k]}
            if lost or (report["waiting"] and report["last_error"]):
                what = ", ".join(f"{k} {v}" for k, v in lost.items())
                _say(f"sensor {report['source']}: {what}{'; ' if what else ''}{_plain(report['last_error'] or '')}")


def _plain(error: str) -> str:
    """An error of either interpreter in words: without "[Errno 111]", and not "28" alone."""
    words = re.sub(r"\[Errno -?\d+\] (E[A-Z]+: )?", "", error).replace("[addrinfo error -2]", NO_NAME)
    number = re.search(r": (\d+)$", words)
    return words[: number.start(1)] + os.strerror(int(number[1])) if number else words


def _check_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
        usable = os.access(path, os.W_OK | os.X_OK)
        why = "not writable"
    except OSError as e:
        usable, why = False, e.strerror or str(e)
    if not usable:
        raise ConfigError(f"the outboxes' folder {path} cannot be used: {why}; choose another with --outbox")


def _say(text: str) -> None:
    """Tell whoever reads; when nobody does any more (`bourn run | head`) sensors and hub go on all the same."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
