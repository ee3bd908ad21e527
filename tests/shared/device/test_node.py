# heap: 768k
"""A node: sensors, a scheduler and a sender in one thread, from start to stop."""

import os

from scripted_hub import ScriptedHub, folder

from bourn import wire
from bourn.device.connections.tcp import open_tcp
from bourn.device.node import Node, main
from bourn.spool.segments import SegmentSpool
from bourn.testing import ManualClock


class Life:
    """Runs a node against a hub that acknowledges everything, and ends it after so many waits."""

    def __init__(self, waits, answering=True, late=False, **settings):
        self.hub = ScriptedHub()
        self.door = ScriptedHub()  # its closing is the word to stop
        self.path = folder("node")
        self.settings = {"source": "n1", "hub": self.hub.url, "outbox": self.path, "drain_ms": 2000}
        self.settings.update(settings)
        self.waits = waits
        self.answering = answering
        self.late = late  # it answers when the node is to end
        self.longest = 0  # that the node would have waited
        self.answered = 0

    def run(self, wall=1700000000000):
        """The node, after it has run."""
        node = Node(self.settings, ManualClock(wall))
        stop = open_tcp("127.0.0.1", self.door.port)
        while not self.door.link:
            self.door.step()
        real = node.sender.wait

        def wait(ms):
            self.waits -= 1
            if self.waits == 0:
                self.door.hang_up()
                self.answering = self.answering or self.late
            self.longest = max(self.longest, ms)
            self.answer()
            node.clock.advance(min(ms, 250))
            woken = real(1)
            self.answer()
            return woken

        node.sender.wait = wait
        node.scheduler._wait = wait
        node.run(stop)
        stop.close()
        return node

    def answer(self):
        """Greet, and acknowledge what came."""
        links = self.hub.links
        self.hub.step()
        if self.hub.links != links:
            self.answered = 0
        if not self.hub.link or not self.answering:
            return
        for kind, values in self.hub.frames[self.answered :]:
            if kind == wire.PING:
                self.hub.say(wire.PONG, values[0], 1800000000000)
            elif kind == wire.HELLO:
                self.hub.say(wire.WELCOME, values[1], values[2] - 1, 100, False, "hub")
                self.epoch = values[1]
            elif kind == wire.DATA:
                self.hub.say(wire.ACK, self.epoch, values[0] + len(values[2]) - 1)
        self.answered = len(self.hub.frames)

    def close(self):
        self.hub.close()
        self.door.close()
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)


def counters(name, every):
    return {"kind": "counter", "name": name, "every": every}


def test_every_reading_of_every_sensor_reaches_the_hub():
    life = Life(60, sensors=[counters("a", 1), counters("b", 2)])
    node = life.run()
    readings = [(name, val) for _, _, rs in life.hub.of(wire.DATA) for name, _, val in rs]
    a = [val for name, val in readings if name == "a"]
    b = [val for name, val in readings if name == "b"]
    assert a == list(range(1, len(a) + 1)) and b == list(range(1, len(b) + 1))
    assert len(a) > 8 and abs(len(a) - 2 * len(b)) <= 2
    report = node.report()
    assert report["source"] == "n1" and "python" in report["runtime"]
    assert report["appended"] == report["sent"] == report["acked"] == len(readings)
    assert (report["waiting"], report["lost"], report["sensor_failures"]) == (0, 0, 0)
    life.close()


def test_without_a_hub_the_readings_stay_in_the_outbox():
    life = Life(40, answering=False, sensors=[counters("a", 1)])
    node = life.run()
    report = node.report()
    assert report["appended"] == report["waiting"] > 5
    again = Life(10, sensors=[counters("a", 1000)], at_once=False)
    os.rmdir(again.path)
    again.path, again.settings["outbox"] = life.path, life.path
    life.hub.close()
    life.door.close()
    report = again.run().report()
    assert report["waiting"] == 0
    assert [val for _, _, rs in again.hub.of(wire.DATA) for _, _, val in rs][:3] == [1, 2, 3]
    again.close()


def test_what_waits_at_the_end_is_still_sent():
    life = Life(20, answering=False, late=True, sensors=[counters("a", 1)])
    report = life.run().report()
    assert report["appended"] == report["acked"] > 2 and report["waiting"] == 0
    life.close()


def test_a_failing_sensor_is_counted_and_its_neighbours_go_on():
    class Broken:
        sensor_id = "broken"
        every_s = 1

        def sample(self):
            raise OSError(5, "bus")

    life = Life(40, sensors=[counters("a", 1), counters("b", 1)])
    make = Node.__init__

    def with_broken(self, settings, clock):
        make(self, settings, clock)
        self.things[1].sensor = Broken()

    Node.__init__ = with_broken
    try:
        report = life.run().report()
    finally:
        Node.__init__ = make
    assert report["sensor_failures"] == report["appended"] > 5
    assert {name for _, _, rs in life.hub.of(wire.DATA) for name, _, _ in rs} == {"a"}
    life.close()


def test_a_node_with_nothing_to_sample_waits_for_its_end():
    life = Life(5, sensors=[])
    node = life.run()
    assert node.report()["appended"] == 0 and life.waits <= 0 and life.longest >= 1000
    life.close()


def test_what_is_wrong_with_the_settings_is_told():
    for argv in ([], ["node", "{"], ["node", "{}"], ["node", '{"sensors": [{"kind": "smell"}]}']):
        assert main(argv) == 2


def test_before_the_time_is_known_readings_are_held_and_then_sent():
    life = Life(40, sensors=[counters("a", 1)], ntp="127.0.0.1")  # nobody answers there
    report = life.run().report()
    assert report["appended"] == report["held"] > 5 and report["sent"] == 0
    assert life.hub.of(wire.DATA) == []
    again = Life(20, sensors=[counters("b", 1000)], at_once=False, ntp="127.0.0.1")
    os.rmdir(again.path)
    again.path, again.settings["outbox"] = life.path, life.path
    life.hub.close()
    life.door.close()
    report = again.run(wall=1800000000000).report()  # a board whose clock was kept
    assert (report["held"], report["waiting"], report["estimated"]) == (0, 0, 1)
    readings = [(t0 + dt, val) for _, t0, rs in again.hub.of(wire.DATA) for _, dt, val in rs]
    assert [val for _, val in readings][:3] == [1, 2, 3] and readings[0][0] < readings[-1][0] <= 1800000000000 + 20000
    again.close()


def test_the_hub_may_say_what_time_it_is():
    life = Life(80, sensors=[counters("a", 1)], ntp="hub")
    report = life.run(wall=946684800000).report()
    readings = [(t0 + dt, val) for _, t0, rs in life.hub.of(wire.DATA) for _, dt, val in rs]
    assert [val for _, val in readings] == list(range(1, report["appended"] + 1)) and report["appended"] > 5
    assert readings[0][0] > 1800000000000 - 20000 and readings[-1][0] - readings[0][0] >= 1000 * (len(readings) - 2)
    assert (report["held"], report["waiting"], report["estimated"]) == (0, 0, 0)
    life.close()


def test_a_disk_that_fails_at_the_end_is_in_the_report():
    life = Life(6, sensors=[{"kind": "random", "name": "r1", "every": 1}])
    real = SegmentSpool.close

    def close(spool):
        real(spool)
        raise OSError(5, "by the test")

    SegmentSpool.close = close
    try:
        node = life.run()
    finally:
        SegmentSpool.close = real
    report = node.report()
    assert report["last_error"].startswith("outbox: ") and report["acked"] > 0 and report["waiting"] == 0
    Node(life.settings).sender.close()  # its folder is free again
    life.close()
