# heap: 1024k
# timeout: 60
"""A real sender over a faulty network to a hub in memory: everything accepted arrives, once and in order."""

import os

from bourn import Scheduler, SensorAsOutputThing, wire
from bourn._compat.system import random_bytes
from bourn.device.board_clock import BoardClock
from bourn.device.sender import Sender
from bourn.spool.ram import RamSpool
from bourn.spool.segments import SegmentSpool
from bourn.spool.timed import TimedSpool
from bourn.testing import FaultyNetwork, ManualClock, MemoryHub

SEED = 20261121
HOUR_MS = 3600 * 1000


class Counter:
    sensor_id = "n"
    count = 0

    def sample(self):
        self.count += 1
        return self.count


class World:
    """A device that samples every ten seconds, and a hub."""

    def __init__(self, seed=SEED, ram=1000, policy="drop_oldest", **faults):
        self.clock = ManualClock()
        self.clock.advance(5000)  # every run ends between two samples
        self.network = FaultyNetwork(self.clock, seed, **faults)
        self.hub = MemoryHub(self.network)
        self.spool = RamSpool(ram, policy)
        self.sender = Sender(
            "tcp://hub:7007", "s1", self.spool, self.clock, self.network.connect, poller=self.network.poller()
        )
        self.scheduler = Scheduler(self.clock, wait=self.sender.wait)
        self.sensor = Counter()
        thing = SensorAsOutputThing(self.sensor, self.clock)
        thing.connect(self.sender)
        self.scheduler.schedule_periodic(thing, 10)

    def run(self, ms):
        self.scheduler.schedule_later_one_time(self.scheduler.stop, ms // 1000)
        self.scheduler.run_forever()

    def numbers(self):
        return [reading[5] for reading in self.hub.readings]


def test_on_a_good_network_everything_is_there_at_once():
    world = World()
    world.run(HOUR_MS)
    assert world.numbers() == list(range(1, 361))
    source, epoch, number, sensor, ts, val = world.hub.readings[-1]
    assert (source, epoch, number, sensor, val) == ("s1", world.spool.epoch, 360, "n", 360)
    assert ts == 1700000000000 + HOUR_MS and not world.spool.waiting()
    assert world.network.counters["connections"] == 1
    world.sender.close()
    assert world.network.connections == [], "the hub has closed its end on hearing of it"


def test_whatever_tcp_may_do_nothing_is_lost_and_nothing_comes_twice():
    for seed in range(SEED, SEED + 2):
        world = World(seed, delay_ms=(1, 900), bytes_per_s=2000, cut=0.05, half_open=0.02)
        world.run(HOUR_MS)
        world.network.heal()
        assert world.sender.drain(10 * 60 * 1000), (seed, world.sender.last_error)
        assert world.numbers() == list(range(1, world.sensor.count + 1)), seed
        counters = world.network.counters
        assert counters["cut"] > 3 and counters["half_open"] and counters["connections"] > 5, (seed, counters)


def test_what_arrives_twice_is_stored_once():
    world = World(duplicate=0.3)
    world.run(HOUR_MS)
    assert world.numbers() == list(range(1, 361)) and world.hub.duplicates > 50


def test_a_frame_that_overtakes_another_is_asked_for_again():
    # By hand, as no TCP does it; the sender's side of it is in test_sender.py.
    world = World()
    near = world.network.connect("tcp://hub:7007")
    for kind, values in (
        (wire.HELLO, ("s2", "0" * 16, 1, {})),
        (wire.DATA, (2, 1000, [["n", 0, 2]])),
        (wire.DATA, (1, 1000, [["n", 0, 1]])),
        (wire.GAP, (2, 4, "full")),
        (wire.PING, (7,)),
    ):
        near.send(wire.encode(kind, *values))
        world.network.deliver()
    answers = [(kind, wire.decode(kind, body)) for kind, body in wire.Decoder().feed(near.recv(9999))]
    assert [kind for kind, _ in answers] == [wire.WELCOME, wire.NACK, wire.ACK, wire.ACK, wire.PONG]
    assert answers[1][1][1] == 1 and answers[3][1][1] == 4 and world.hub.holes == 1
    assert world.hub.gaps == [("s2", "0" * 16, 2, 4, "full")] and world.hub.last("s2", "0" * 16) == 4
    near.send(b"GET / HTTP/1.1\r\n\r\n")
    world.network.deliver()
    assert world.hub.refused == 1


def test_an_outage_costs_nothing_but_what_the_policy_says():
    world = World(ram=100)
    world.run(HOUR_MS // 6)
    world.network.connections[0].half_open()
    world.network.down = True
    world.run(HOUR_MS)
    assert len(world.hub.readings) == 60
    world.network.down = False
    world.run(HOUR_MS // 6)
    dropped = world.spool.counters["dropped"]
    assert dropped > 200 and sum([gap[3] - gap[2] + 1 for gap in world.hub.gaps]) == dropped
    assert len(world.hub.readings) + dropped == world.sensor.count
    assert world.hub.last("s1", world.spool.epoch) == world.sensor.count


def test_a_hub_that_does_not_acknowledge_makes_the_device_keep_everything():
    world = World()
    world.hub.acknowledges = False
    world.run(HOUR_MS // 60)
    assert len(world.hub.readings) == 6 and world.spool.waiting() == 6


def test_readings_from_before_the_time_was_known_arrive_with_their_true_time():
    path = "/tmp/bourn-test-early-%02x%02x%02x%02x" % tuple(random_bytes(4))
    network = None
    for run in (1, 2):  # the first run ends before the time is known
        machine = ManualClock(946684800000)  # a board that believes in 2000
        clock = BoardClock(machine)
        if network is None:
            network = FaultyNetwork(machine)
            hub = MemoryHub(network)
        network.clock = machine
        spool = TimedSpool(SegmentSpool(path), clock)
        sender = Sender("tcp://hub:7007", "s1", spool, clock, network.connect, poller=network.poller())
        scheduler = Scheduler(clock, wait=sender.wait)
        thing = SensorAsOutputThing(Counter(), clock)
        thing.connect(sender)
        scheduler.schedule_periodic(thing, 10)

        def go_on(ms, scheduler=scheduler):
            scheduler.schedule_later_one_time(scheduler.stop, ms // 1000)
            scheduler.run_forever()

        go_on(95000)
        assert (hub.readings, hub.gaps, sender.state) == ([], [], "down") and "time" in sender.last_error
        assert spool.held() == 10 * run
        if run == 1:
            sender.close()
    clock.set(1800000000000)
    go_on(60000)
    assert sender.drain(5000) and hub.gaps == [] and hub.holes == hub.duplicates == 0
    begun = 1800000000000 - 95000  # of the second run
    second = [begun + 10000 * i for i in range(16)]
    first = [begun - 90000 + 10000 * i for i in range(10)]  # as late as they can be: its last when the second began
    assert [reading[4] for reading in hub.readings] == first + second
    assert spool.counters["estimated"] == 1
    sender.close()
    for name in os.listdir(path):
        os.remove(path + "/" + name)
    os.rmdir(path)
