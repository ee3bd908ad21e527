# heap: 1024k
# timeout: 60
"""A board's program from its settings: the readings of a newcomer have right times, whoever says what time it is."""

import os
import sys
import time

from scripted_hub import ScriptedHub, folder
from test_sntp import NOW, Server
from test_wifi import Air

from bourn import wire
from bourn.device import board
from bourn.device.board import Board
from bourn.testing import ManualClock

Y2000 = 946684800000


class Count:
    """1, 2, 3, ...; notes the clock's time of each."""

    sensor_id = "n"

    def __init__(self, clock, fails=()):
        self.clock = clock
        self.at = []
        self.fails = fails

    def sample(self):
        self.at.append(self.clock.now())
        if len(self.at) in self.fails:
            raise OSError(5, "bus")
        return len(self.at)


class Life:
    """A board and a hub; `true(now)` is the time of day when the board's clock says `now`."""

    def __init__(self, path=None, machine=None, network=None, fails=(), **settings):
        self.hub = ScriptedHub()
        self.path = path or folder("board")
        self.says_time = False
        self.there = True  # the hub
        self.readings = []
        self.answered = 0
        self.hellos = 0
        self.server = None
        told = {"name": "shed", "hub": self.hub.url, "every": 1, "ntp": ""}
        told.update(settings)
        self.machine = machine or ManualClock(Y2000)
        self.board = Board(told, self.machine, network, self.path + "/outbox", self.path + "/log")
        self.sensor = Count(self.machine, fails)
        self.real = self.board.scheduler.wait
        self.board.scheduler.wait = self.wait
        self.board.sample(self.sensor)

    def true(self, now):
        return NOW + now

    def wait(self, ms):
        self.answer()
        self.machine.advance(min(ms, 50 if self.machine.now() < 60000 else 1000))
        woken = self.real(0)
        self.answer()
        return woken

    def answer(self):
        """What a hub says, and the time server."""
        if self.server:
            self.server.answer()
        if not self.there:
            return
        links = self.hub.links
        self.hub.step()
        if self.hub.links != links:
            self.answered = 0
        if not self.hub.link:
            return
        for kind, values in self.hub.frames[self.answered :]:
            if kind == wire.PING:
                self.hub.say(wire.PONG, values[0], *([self.true(self.machine.now())] if self.says_time else ()))
            elif kind == wire.HELLO:
                self.epoch = values[1]
                self.hellos += 1
                self.hub.say(wire.WELCOME, values[1], values[2] - 1, 100, False, "hub")
            elif kind == wire.DATA:
                first, t0, readings = values
                self.readings += [(t0 + dt, val) for _, dt, val in readings]
                self.hub.say(wire.ACK, self.epoch, first + len(readings) - 1)
        self.answered = len(self.hub.frames)

    def run(self, seconds):
        """Let the program run so long; it ends as by a Ctrl-C."""
        self.board.scheduler.schedule_later_one_time(self.board.scheduler.stop, seconds)
        self.board.run()
        with open(self.path + "/log") as file:
            self.log = file.read()
        return self

    def exact(self):
        """Every reading that was taken is at the hub, with the time at which it was taken, as near as was measured."""
        error = max([link.error_ms or 0 for link in self.board.times])
        assert [val for _, val in self.readings] == list(range(1, len(self.sensor.at) + 1)), self.readings
        for (ts, _), now in zip(self.readings, self.sensor.at):
            assert abs(ts - self.true(now)) <= error <= 5000, (ts - self.true(now), error)
        for (a, _), (b, _), x, y in zip(self.readings, self.readings[1:], self.sensor.at, self.sensor.at[1:]):
            assert b - a == y - x, "from one reading to the next to the millisecond"

    def close(self):
        self.hub.close()
        if self.server:
            self.server.socket.close()
        for name in ("outbox/" + n for n in os.listdir(self.path + "/outbox")):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path + "/outbox")
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)


def test_the_hub_says_what_time_it_is():
    life = Life()
    life.says_time = True
    life.there = False
    life.board.scheduler.schedule_later_one_time(lambda: setattr(life, "there", True), 12.3)
    life.run(40)
    assert len(life.sensor.at) == 41 and life.board.outbox.counters["estimated"] == 0
    life.exact()
    assert life.hellos == 1, "nothing was dialled before the time was known, nor again"
    assert "the time is known" in life.log and "nobody has said what time it is" in life.log
    life.close()


def test_a_time_server_says_it_and_the_hub_is_older():
    life = Life(ntp="127.0.0.1:1")
    life.server = Server(life.machine)
    life.board.times[1]._port = life.server.port
    life.run(20)
    assert life.board.times[0].counters["failures"] >= 1 and life.board.times[1].counters["set"] == 1
    life.exact()
    life.close()


def test_nobody_says_it_and_the_next_start_estimates():
    life = Life()
    life.run(20)
    assert life.readings == [] and life.hellos == 0 and life.board.outbox.held() == 21
    assert "nobody has said what time it is (" in life.log and "newer version" in life.log
    life.hub.close()
    again = Life(path=life.path, machine=ManualClock(NOW + 3600000))
    again.run(5)
    assert [val for _, val in again.readings] == list(range(1, 22)) + list(range(1, 7))
    assert again.board.outbox.counters["estimated"] == 1
    assert again.readings[20][0] <= NOW + 3600000 < again.readings[22][0]
    again.close()


def test_the_time_is_asked_for_when_there_is_a_network():
    air = Air("rp2")
    air.present = False
    air.clock = machine = ManualClock(Y2000)
    life = Life(machine=machine, network=air, wifi={"name": "barn", "password": "hay and oats"}, ntp="127.0.0.1:1")
    life.says_time = True
    asked = []
    life.board.scheduler.schedule_later_one_time(lambda: asked.append(life.board.times[0].counters["asked"]), 29)
    life.board.scheduler.schedule_later_one_time(air.appear, 30)
    life.run(60)
    assert asked == [0], "nobody is asked where there is no network"
    life.exact()
    assert ": cannot join barn: not in reach" in life.log and "hay" not in life.log
    life.close()


def test_a_radio_that_refuses_to_switch_its_access_point_off_ends_nothing():
    for error in (OSError("Wifi Not Started"), RuntimeError("Wifi Unknown Error 0x0101")):
        air = Air()
        air.clock = machine = ManualClock(NOW)

        def active(on=None, error=error):
            raise error

        air.interfaces[1].active = active
        life = Life(machine=machine, network=air, wifi={"name": "barn", "password": "hay and oats"})
        life.run(10)
        assert len(life.readings) == 11 and life.board.wifi.state == "up" and "wifi: Wifi" in life.log
        life.close()


def test_settings_that_are_wrong_say_so():
    path = folder("board")
    for text, said in (
        ("{name: 1}", "no JSON"),
        ('{"name": "shed"}', 'lack "hub"'),
        ('{"hub": ""}', 'lack "name"'),
    ):
        with open(path + "/settings.json", "w") as file:
            file.write(text)
        try:
            Board(path + "/settings.json", log=path + "/log", outbox=path + "/outbox")
            raise AssertionError("taken: " + text)
        except ValueError as e:
            assert said in str(e), e
    os.remove(path + "/settings.json")
    os.rmdir(path)


def test_a_sensor_that_fails_is_logged_once_and_the_others_go_on():
    life = Life(machine=ManualClock(NOW), fails=(3, 4, 5, 6, 9))
    life.run(12)
    assert [val for _, val in life.readings] == [1, 2, 7, 8, 10, 11, 12, 13]
    assert life.log.count("n: OSError") == 2
    life.close()


def test_a_sensor_of_its_own_period_and_a_board_with_a_key():
    life = Life(machine=ManualClock(NOW), every=3)
    slow = Count(life.machine)
    life.board.sample(slow, 5)
    life.run(20)
    assert (len(life.sensor.at), len(slow.at)) == (7, 5), "at once, and then every 3 and 5 s"
    assert life.board.sender.prove is None
    life.close()
    path = folder("board")
    with open(path + "/keys", "w") as file:
        file.write("shed " + "0123456789abcdef" * 4 + "\n")
    life = Life(machine=ManualClock(NOW), keys=path + "/keys")
    assert life.run(1).board.sender.prove is not None
    life.close()
    os.remove(path + "/keys")
    os.rmdir(path)


class Machine:
    """A board's `machine` with the clock alone."""

    class RTC:
        told = None

        def datetime(self, told):
            Machine.RTC.told = told


class Calendar:
    """`time` of a port whose days count from 2000, or from 1970."""

    def __init__(self, begins):
        self.begins = begins

    def gmtime(self, seconds):
        return time.gmtime(seconds + self.begins)


def test_the_machines_clock_is_set_on_every_port():
    before, times = sys.modules.get("machine"), board.time
    sys.modules["machine"] = Machine
    try:
        for begins in (0, 946684800):
            board.time = Calendar(begins)
            for ms, told in (
                (1771945445999, (2026, 2, 24, 2, 15, 4, 5, 0)),
                (1735689600000, (2025, 1, 1, 3, 0, 0, 0, 0)),
                (4102444799999, (2099, 12, 31, 4, 23, 59, 59, 0)),
            ):
                board.rtc_setter()(ms)
                assert Machine.RTC.told == told, (begins, ms, Machine.RTC.told)
    finally:
        board.time = times
        del sys.modules["machine"]
        if before:
            sys.modules["machine"] = before


def test_what_was_in_ram_is_on_flash_after_an_interrupt():
    life = Life(machine=ManualClock(NOW), pause=600, every=5)
    life.there = False
    life.hub.close()
    assert life.board.sender.backoff_cap_ms == 600000
    life.run(1200)
    failures = life.board.sender.counters["failures"]
    assert 10 < failures < 20, failures  # not some 160, as with ten seconds at most
    again = Life(path=life.path, machine=ManualClock(NOW + 7200000))
    again.run(2)
    taken = len(life.sensor.at)
    assert taken > 200 and [val for _, val in again.readings] == list(range(1, taken + 1)) + [1, 2, 3]
    again.close()
