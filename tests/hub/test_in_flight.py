"""At most 5 readings unacknowledged on the whole network, counted from outside the program.

A proxy stands between the sensors and the hub and reads along: a reading is under way from when its frame has passed
towards the hub until its acknowledgement has passed back. `python tests/hub/test_in_flight.py` shows it at work.
"""

import json
import select
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from processes import LIMIT_S, check_complete, hub, micropython, sensors, totals, until, url_of

from bourn import wire

LIMIT = 5
ENOUGH = 3000  # readings that have to pass
CHUNK = 65536


class Pair:
    """One sensor's connection and the hub's end of it, what is to be passed on, and what is under way."""

    def __init__(self, sensor: socket.socket, hub: socket.socket) -> None:
        self.sensor = sensor
        self.hub = hub
        self.from_sensor = wire.Decoder()
        self.from_hub = wire.Decoder()
        self.source = ""
        self.epoch = ""
        self.under_way: list[tuple[str, int]] = []  # (epoch, seq), each as often as it was sent


class Sampler:
    """A proxy in one thread; after each event it knows how many readings are unacknowledged on the whole network."""

    def __init__(self, hub_url: str) -> None:
        host, port = hub_url.removeprefix("tcp://").rsplit(":", 1)
        self._hub = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._pairs: list[Pair] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sampled = [0]  # how often 0, 1, 2, ... were under way
        self.passed = 0  # readings towards the hub
        self.acked = 0
        self.sources: set[str] = set()
        self.failure: BaseException | None = None

    def __enter__(self) -> "Sampler":
        return self

    def start(self) -> None:
        """Up to now sensors could connect, and were not answered."""
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(LIMIT_S)
        self._listener.close()
        for pair in self._pairs:
            pair.sensor.close()
            pair.hub.close()

    @property
    def peak(self) -> int:
        return len(self.sampled) - 1

    def under_way(self) -> int:
        return sum(len(pair.under_way) for pair in self._pairs)

    def report(self) -> str:
        """What was seen, as a table."""
        whole = sum(self.sampled)
        rows = [(f"{n}", times) for n, times in enumerate(self.sampled[: LIMIT + 1])]
        rows.append((f"more than {LIMIT}", sum(self.sampled[LIMIT + 1 :])))
        return "\n".join(
            [
                f"{self.passed} readings of {len(self.sources)} sensors passed, {self.acked} were acknowledged",
                *[f"{n:>11} under way {times:8} times  {'#' * round(60 * times / whole)}" for n, times in rows],
                f"at most {self.peak} at once",
            ]
        )

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                watched = [self._listener, *[s for pair in self._pairs for s in (pair.sensor, pair.hub)]]
                ready = set(select.select(watched, [], [], 0.1)[0])
                self._hear_hub()
                for pair in list(self._pairs):
                    if pair.sensor in ready:
                        self._hear_hub()
                        self._sensor_said(pair)
                if self._listener in ready:
                    self._pairs.append(Pair(self._listener.accept()[0], socket.create_connection(self._hub)))
                    for s in (self._pairs[-1].sensor, self._pairs[-1].hub):
                        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException as e:  # the edge of a thread: the test tells it
            self.failure = e

    def _hear_hub(self) -> None:
        """Everything that the hub has said by now, before any more of what sensors say.

        The hub acknowledges one sensor, and then lends what that frees to another: they are heard in this order, too.
        """
        said = select.select([pair.hub for pair in self._pairs], [], [], 0)[0]
        for pair in list(self._pairs):
            if pair.hub in said:
                self._hub_said(pair)

    def _sensor_said(self, pair: Pair) -> None:
        if pair not in self._pairs:
            return
        data = self._receive(pair, pair.sensor)
        if not data:
            return
        for kind, body in pair.from_sensor.feed(data):
            values = json.loads(body)
            if kind == wire.HELLO:
                pair.source, pair.epoch = values[:2]
                self.sources.add(pair.source)
            elif kind == wire.DATA:
                pair.under_way += [(pair.epoch, values[0] + i) for i in range(len(values[2]))]
                self.passed += len(values[2])
                self._sample()
        self._pass_on(pair, pair.hub, data)

    def _hub_said(self, pair: Pair) -> None:
        data = self._receive(pair, pair.hub)
        if not data:
            return
        for kind, body in pair.from_hub.feed(data):
            if kind == wire.ACK:
                epoch, last = json.loads(body)[:2]
                before = len(pair.under_way)
                pair.under_way = [(e, seq) for e, seq in pair.under_way if e != epoch or seq > last]
                self.acked += before - len(pair.under_way)
                self._sample()
        self._pass_on(pair, pair.sensor, data)

    def _receive(self, pair: Pair, end: socket.socket) -> bytes:
        try:
            data = end.recv(CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            self._cut(pair)
        return data

    def _pass_on(self, pair: Pair, end: socket.socket, data: bytes) -> None:
        try:
            end.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self._cut(pair)

    def _cut(self, pair: Pair) -> None:
        self._pairs.remove(pair)
        pair.sensor.close()
        pair.hub.close()

    def _sample(self) -> None:
        n = self.under_way()
        self.sampled += [0] * (n + 1 - len(self.sampled))
        self.sampled[n] += 1


def sample(
    folder: Path, hub_options: tuple[str, ...], interpreter: str, enough: int, drain: bool = True
) -> tuple[Sampler, Any]:
    """Five sensors that send as fast as they can through a sampler, until enough has passed; it, and the totals."""
    with hub(folder, *hub_options) as running, Sampler(url_of(running)) as sampler:
        options = ("--num-sensors", "5", "--every", "0.001", "--micropython", interpreter)
        with sensors(folder, sampler.url, *options) as five:
            until(lambda: waiting(folder) > 5 * 5000, "every sensor has readings that wait")
            sampler.start()
            until(lambda: sampler.failure or (sampler.passed >= enough and len(sampler.sources) == 5), "readings pass")
            five.interrupt()
            if not drain:
                five.said("^stopping")
                five.interrupt()
            assert five.ended() == 0
        if sampler.failure:
            raise sampler.failure
        running.interrupt()
        assert running.ended() == 0
    return sampler, totals(five)


def waiting(folder: Path) -> int:
    """Bytes in the outboxes."""
    return sum(file.stat().st_size for file in folder.glob("bourn.outbox/*/*.seg"))


def test_never_more_than_five_readings_are_unacknowledged_on_the_network(tmp_path: Path) -> None:
    sampler, numbers = sample(tmp_path, ("--network-in-flight", str(LIMIT)), micropython(), ENOUGH)
    print(sampler.report())
    assert sampler.peak <= LIMIT
    assert sampler.peak > 1, "the network was never busy"
    assert sampler.passed == numbers["sent"] >= ENOUGH
    # The last acknowledgements may have been under way when the sensors ended, the last readings when they were cut.
    assert numbers["acknowledged"] <= sampler.acked <= sum(check_complete(tmp_path).values()) <= sampler.passed


def test_the_sampler_sees_more_where_more_is_allowed(tmp_path: Path) -> None:
    """So that the test above can fail."""
    sampler, numbers = sample(tmp_path, ("--in-flight", "1000"), "none", 1000)
    assert sampler.peak > LIMIT
    assert sampler.passed == numbers["sent"]


@pytest.mark.parametrize("limit", [1, 2])
def test_any_limit_is_kept(tmp_path: Path, limit: int) -> None:
    sampler, _ = sample(tmp_path, ("--network-in-flight", str(limit)), "none", 200, drain=False)
    assert sampler.peak == limit


def main() -> int:
    """Show what is under way on a network of five sensors, with the limit and without it."""
    worst = 0
    for options in (("--network-in-flight", str(LIMIT)), ("--in-flight", "1000")):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            sampler, numbers = sample(Path(folder), options, "auto", ENOUGH)
            print(f"bourn hub {' '.join(options)}: {time.monotonic() - began:.1f} s; the sensors say {numbers}")
            print(sampler.report() + "\n")
            worst = worst or sampler.peak
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
