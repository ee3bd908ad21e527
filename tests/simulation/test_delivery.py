"""Senders, outboxes, links, ingest and journal together, through cuts and crashes: days of trouble from one seed.

    acknowledged ⊆ stored ⊆ accepted, each once, in the order of its source; data and gaps cover every stream

Everything is the real thing but the network, the clock, the sync of files, and who calls the pipeline when.
`make sim SEED=7` replays one seed and shows what happened.
"""

import asyncio
import contextlib
import os
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from network import Timers, Transport

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "hub"))
from invariant import check_journal

from bourn.device.sender import Sender
from bourn.hub import ingest as ingest_module
from bourn.hub import link as link_module
from bourn.hub.ingest import Ingest
from bourn.hub.link import Link
from bourn.spool import Gap
from bourn.spool.segments import SegmentSpool
from bourn.spool.sqlite import SqliteSpool
from bourn.testing import ManualClock
from bourn.testing.files import FaultyFiles, PowerCut
from bourn.testing.network import WINDOW, FaultyNetwork

SEEDS = 60  # of one `make test`
SOAK_SEEDS = 3000
STEPS = 500  # of trouble, after which everything heals
STUCK = 1000  # rounds without a new reading (three minutes), after which something is stuck
URL = "tcp://hub:7007"


class Time:
    """The module `time`, as the hub uses it, on the simulation's clock."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def monotonic(self) -> float:
        return self._clock.now() / 1000

    def time(self) -> float:
        return self._clock.wall() / 1000

    perf_counter = monotonic


class Node:
    """One source: its outbox, its sender, and what it was promised."""

    def __init__(self, world: "World", name: str, folder: str) -> None:
        self.world = world
        self.name = name
        self.folder = folder
        self.accepted: dict[tuple[str, int], int] = {}  # (epoch, seq): the value
        self.maybe: set[int] = set()  # values whose acceptance the power cut off
        self.forgotten = 0
        chance = world.chance
        self.max_bytes = chance.choice((4096, 8192, 1 << 20))
        self.policy = chance.choice(("drop_oldest", "drop_oldest", "drop_newest"))
        self.start()

    def start(self) -> None:
        chance = self.world.chance
        while True:
            cut_after = chance.choice((None, None, chance.randrange(1, 200)))
            self.files = FaultyFiles(cut_after=cut_after, torn=chance.randrange(40), lose_unsynced=True)
            try:
                self.spool = SegmentSpool(
                    self.folder, self.files, self.max_bytes, policy=self.policy, random=chance.randbytes
                )
                break
            except PowerCut:
                self.world.say(self.name, "power cut while starting")
        self.world.say(self.name, f"epoch {self.spool.epoch} begins")
        self._ack = self.spool.ack
        self.spool.ack = self.acknowledged
        world = self.world
        self.sender = Sender(
            URL, self.name, self.spool, world.clock, world.connect, chance.randbytes, world.network.poller()
        )

    def acknowledged(self, place: tuple[str, int], cursor: str = "") -> None:
        """The sender forgets what the hub has acknowledged: that has to be on disk there."""
        durable, acked = self.world.durable, self.spool.acked()
        if place[1] > durable.get((self.name, place[0]), 0) or acked is None or acked[0] != place[0]:
            waiting = self.spool.read(acked, 1_000_000)
            self._ack(place, cursor)
            for at, record in waiting if self.spool.acked() == place else []:
                if self.spool._later(at, place):
                    break
                on_disk = durable.get((self.name, at[0]), 0)
                assert isinstance(record, Gap) or at[1] <= on_disk, f"{self.name} forgets {at}, {on_disk} are on disk"
        self._ack(place, cursor)

    def sample(self) -> None:
        value = self.world.next_value()
        self.maybe.add(value)
        before = self.spool.seq
        self.sender.on_next(("x", self.world.clock.wall(), value))
        self.maybe.discard(value)
        if self.spool.seq > before:
            self.accepted[self.spool.epoch, self.spool.seq] = value

    def restart(self, how: str) -> None:
        """Its process ends and begins again: in order, killed, or without power."""
        self.forgotten += self.spool.counters["forgotten"]
        if how == "in order":
            self.sender.close()
        else:
            if how == "power" and not self.files.dead:
                self.files.cut()
            for file in list(self.files._open):
                file.close()
            end = self.sender._channel
            if end is not None:
                if how == "power":
                    end.connection.half_open()
                end.close()
        self.start()

    def drained(self) -> bool:
        return not self.spool.waiting() and not self.spool.read(self.spool.acked(), 1)


class World:
    """A hub and some nodes, one clock, one chance."""

    def __init__(self, seed: int, folder: str, timers: Timers, clock: ManualClock) -> None:
        self.chance = random.Random(seed)
        self.clock = clock
        self.timers = timers
        self.log: list[str] = []
        self.path = folder + "/j.db"
        # Chance says what is delivered; a fourth of the worlds have a network that no TCP would be: what one `send`
        # took comes twice, or after what was sent later.
        odd = 0.05 if seed % 4 == 3 else 0
        window = 1 << 20 if odd else WINDOW
        self.network = FaultyNetwork(clock, seed, delay_ms=None, duplicate=odd, reorder=odd, window=window)
        self.network.listen(self.accept)
        self.transports: list[Transport] = []
        self.durable: dict[tuple[str, str], int] = {}
        self.calm = False  # no trouble any more
        self.value = 0
        self.limit = self.chance.choice((None, 1, 2, 5, 50))
        self.in_flight = self.chance.choice((1, 3, 20, 1000))
        self.up = False
        self.start_hub()
        self.nodes = [Node(self, name, f"{folder}/{name}") for name in "abc"[: self.chance.randint(1, 3)]]
        self.counts: Counter[str] = Counter()

    def say(self, who: str, what: str) -> None:
        self.log.append(f"{self.clock.now():>10} {who}: {what}")

    def next_value(self) -> int:
        self.value += 1
        return self.value

    # -- the hub

    def start_hub(self) -> None:
        self.journal = SqliteSpool(self.path)
        self.journal._db.execute("PRAGMA synchronous = OFF")  # what is lost here is lost by a process, not by a disk
        self.ingest = Ingest(self.journal, self.in_flight, self.limit)
        self.phase = "idle"  # idle -> inserted -> committed -> idle
        self.up = True

    def crash_hub(self) -> None:
        """kill -9: whatever was not committed is gone."""
        self.journal._closed = True
        self.journal._db.close()
        self.journal._lock_file.close()
        self.up = False
        for transport in self.transports:
            if transport.is_open:
                transport.vanish(told=self.chance.random() < 0.8)

    def stop_hub(self) -> None:
        """As Ingest.run ends after `stop`."""
        while self.phase != "idle" or self.ingest._waiting:
            self.pipeline()
        for link in list(self.ingest.links):
            link.close()
        self.journal.close()
        self.up = False

    def pipeline(self) -> None:
        """One step of Ingest.run, whose steps can be told apart here."""
        if self.phase == "idle":
            if self.journal.insert():
                self.phase = "inserted"
            else:
                self.ingest._acknowledge()  # what was known already
        elif self.phase == "inserted":
            if not self.calm and self.chance.random() < 0.1:
                self.say("hub", "a commit fails")
                self.journal.rollback()
                self.ingest._acknowledge()
                self.phase = "idle"
                return
            self.journal.commit()
            for stream, last in self.journal._batch.lasts.items():
                self.durable[stream.source, stream.epoch] = last
            self.phase = "committed"
        else:
            self.journal.committed()
            self.ingest._acknowledge()
            self.phase = "idle"
        pool = self.ingest.pool
        assert not pool or 0 <= pool.lent <= pool.limit

    # -- the network

    def connect(self, url: str) -> Any:
        self.network.down = not self.up or (not self.calm and self.chance.random() < 0.2)
        return self.network.connect(url)

    def accept(self, end: Any) -> None:
        self.transports.append(Transport(end, Link(self.ingest)))

    def deliver(self, transport: Transport, whole: bool) -> None:
        connection = transport.end.connection
        up, down = (1.0 if whole else self.chance.random() for _ in "ud")
        if self.up:
            transport.receive(round(up * connection.up.waiting()))
        connection.down.deliver(round(down * connection.down.waiting()))

    def pass_ms(self, ms: int) -> None:
        self.clock.advance(ms)
        self.timers.run()
        if self.up:
            for link in list(self.ingest.links):
                link.check(self.clock.now() / 1000)
        self.transports = [transport for transport in self.transports if not transport.gone]

    # -- what happens

    def trouble(self) -> None:
        """Things happen, as often as this seed wants it."""
        chance = self.chance
        actions = {
            self.sample: 10,
            self.wait: 14,
            self.move: 14,
            self.commit: 14,
            self.time: chance.choice((2, 6)),
            self.cut: chance.choice((0, 0.3, 1)),
            self.crash: chance.choice((0, 0.1, 0.4)),
            self.restart: chance.choice((0, 0.1, 0.4)),
            self.set_clock: chance.choice((0, 0.1)),
        }
        for _ in range(STEPS):
            action = chance.choices(list(actions), list(actions.values()))[0]
            self.counts[action.__name__] += 1
            action()
            if not self.up and chance.random() < 0.1:
                self.say("hub", "starts again")
                self.start_hub()

    def sample(self) -> None:
        node = self.chance.choice(self.nodes)
        for _ in range(self.chance.choice((1, 1, 1, 5, 30))):
            if self.cut_of_power(node, node.sample):
                break

    def wait(self) -> None:
        for node in self.chance.sample(self.nodes, self.chance.randint(1, len(self.nodes))):
            self.cut_of_power(node, lambda: node.sender.wait(0))

    def move(self) -> None:
        for transport in list(self.transports):
            self.deliver(transport, whole=self.chance.random() < 0.5)

    def commit(self) -> None:
        if self.up:
            for _ in range(self.chance.randint(1, 4)):
                self.pipeline()

    def time(self) -> None:
        self.pass_ms(self.chance.choice((1, 20, 300, 2000, 2000, 12_000)))

    def set_clock(self) -> None:
        """Somebody sets the time of everything, an hour back or a day ahead."""
        self.clock.step_wall(self.chance.choice((-3_600_000, 86_400_000)))

    def cut(self) -> None:
        if self.transports:
            told = self.chance.random() < 0.7, self.chance.random() < 0.7
            self.say("network", f"a cut; the hub, the sender are told: {told}")
            self.chance.choice(self.transports).end.connection.cut(near_told=told[1], far_told=told[0])

    def crash(self) -> None:
        if self.up:
            how = self.chance.choice(("killed", "killed", "stopped"))
            self.say("hub", f"{how} while {self.phase}, {self.journal.pending()} wait")
            if how == "killed":
                self.crash_hub()
            else:
                self.stop_hub()

    def restart(self) -> None:
        node = self.chance.choice(self.nodes)
        how = self.chance.choice(("in order", "killed", "power"))
        self.say(node.name, f"ends: {how}")
        if not self.cut_of_power(node, lambda: node.restart(how)):
            return

    def cut_of_power(self, node: Node, action: Any) -> bool:
        """Do something; where the power goes meanwhile, start the node again."""
        try:
            action()
        except PowerCut as e:
            self.say(node.name, str(e))
            node.restart("power")
            return True
        return False

    def heal(self) -> None:
        """From now on everything works; all outboxes are drained."""
        self.calm = True
        self.say("all", "calm")
        if not self.up:
            self.start_hub()
        for node in self.nodes:
            node.files.cut_after = None
        progress = stuck = 0
        while not all(node.drained() for node in self.nodes):
            for node in self.nodes:
                node.sender.wait(0)
            for transport in list(self.transports):
                self.deliver(transport, whole=True)
            for _ in range(3):
                self.pipeline()
            self.pass_ms(self.chance.choice((5, 50, 500)))
            stuck = stuck + 1 if self.journal.last_pos() == progress else 0
            progress = self.journal.last_pos()
            assert stuck < STUCK, "not drained: " + "; ".join(map(describe, self.nodes))
        for _ in range(100):  # credit that is not needed any more comes back, also from a link that nobody was told of
            if not self.ingest.pool or not self.ingest.pool.lent:
                break
            for node in self.nodes:
                node.sender.wait(0)
            for transport in list(self.transports):
                self.deliver(transport, whole=True)
            self.pass_ms(1000)
        else:
            raise AssertionError(f"{self.ingest.pool.lent} readings of credit are lost")
        self.stop_hub()

    # -- what has to be true of it all

    def check(self) -> None:
        check_journal(self.path)
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            readings = db.execute(
                "SELECT source, epoch, seq, val FROM reading JOIN stream ON stream.id = stream ORDER BY pos"
            ).fetchall()
            gaps = db.execute(
                "SELECT source, epoch, first, gap.last, reason FROM gap JOIN stream ON stream.id = stream ORDER BY pos"
            ).fetchall()
            lasts = db.execute("SELECT source, epoch, last FROM stream").fetchall()
            assert db.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
        nodes = {node.name: node for node in self.nodes}
        covered: dict[tuple[str, str], list[tuple[int, int]]] = {}
        stored: set[tuple[str, str, int]] = set()
        order: dict[tuple[str, str], int] = {}
        for source, epoch, seq, val in readings:
            assert (source, epoch, seq) not in stored, "an identity is there twice"
            stored.add((source, epoch, seq))
            assert seq > order.get((source, epoch), 0), "out of order"
            order[source, epoch] = seq
            node = nodes[source]
            assert node.accepted.get((epoch, seq)) == val or val in node.maybe, f"{source}:{epoch}:{seq} was never said"
            covered.setdefault((source, epoch), []).append((seq, seq))
        values = [val for *_, val in readings]
        assert len(values) == len(set(values)), "a value is there under two identities"
        for source, epoch, first, last, _ in gaps:
            covered.setdefault((source, epoch), []).append((first, last))
        for source, epoch, last in lasts:
            at = 0
            for first, upto in sorted(covered.get((source, epoch), [])):
                assert first == at + 1, f"{source}:{epoch} is not covered, or twice, after {at}"
                at = upto
            assert at == last
        for node in self.nodes:
            for epoch, seq in node.accepted:
                if (node.name, epoch, seq) not in stored:
                    why = [r for s, e, first, last, r in gaps if (s, e) == (node.name, epoch) and first <= seq <= last]
                    assert why == ["full"] or node.forgotten, (
                        f"{node.name}:{epoch}:{seq} was accepted and is lost: {why}"
                    )
                    assert node.policy == "drop_oldest" and node.max_bytes < 1 << 20
        self.counts["readings stored"] = len(readings)
        self.counts["readings dropped"] = sum(len(node.accepted) for node in self.nodes) - len(readings)


def describe(node: Node) -> str:
    sender = node.sender
    return (
        f"{node.name} {sender.state}, {node.spool.waiting()} wait, in flight {sender.in_flight()}, "
        f"credit {sender._credit}, wanted {sender._wanted}, {sender.last_error}, {sender.counters}, "
        f"acked {node.spool.acked()}, then {node.spool.read(node.spool.acked(), 3)}"
    )


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that runs one seed, and returns what happened how often."""

    def run(seed: int) -> Counter[str]:
        clock = ManualClock()
        timers = Timers(clock)
        monkeypatch.setattr(link_module, "time", Time(clock))
        monkeypatch.setattr(ingest_module, "time", Time(clock))
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: timers)
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            world = World(seed, folder, timers, clock)
            try:
                world.trouble()
                world.heal()
                world.check()
            except BaseException:
                print(*world.log[-60:], sep="\n")
                print(f"replay with: make sim SEED={seed}")
                raise
        return world.counts

    yield run


def seeds(n: int) -> list[int]:
    """The one that is asked for, or the first n."""
    wanted = os.environ.get("BOURN_SEED")
    return [int(wanted)] if wanted else list(range(1, n + 1))


def test_nothing_is_lost_and_nothing_comes_twice(simulate: Any) -> None:
    total: Counter[str] = Counter()
    for seed in seeds(SEEDS):
        total += simulate(seed)
    print(dict(total))
    if len(seeds(SEEDS)) > 1:  # the simulation does what it is for
        assert total["readings stored"] > 50 * SEEDS
        assert total["readings dropped"] > 0
        assert min(total[what] for what in ("cut", "crash", "restart")) > SEEDS / 2


@pytest.mark.soak
@pytest.mark.parametrize("hundred", range(SOAK_SEEDS // 100))
def test_nothing_is_lost_over_thousands_of_seeds(simulate: Any, hundred: int) -> None:
    for seed in seeds(100):
        simulate(1000 * (hundred + 1) + seed)


def test_a_seed_is_one_history(simulate: Any) -> None:
    assert simulate(7) == simulate(7)
