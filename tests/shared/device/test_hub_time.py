# heap: 384k
"""The hub's time for a board that has none: a real exchange over TCP, and what is not believed."""

from scripted_hub import ScriptedHub

from bourn import wire
from bourn.device import hub_time, sntp
from bourn.device.board_clock import BoardClock
from bourn.device.hub_time import HubTime
from bourn.scheduler import Scheduler
from bourn.testing import ManualClock

NOW = 1800000000250  # the hub's time
ROUNDS = 2000


class World:
    def __init__(self, wall=946684800000):
        self.hub = ScriptedHub()
        self.clock = BoardClock(ManualClock(wall))
        self.link = HubTime(self.clock, self.hub.url)

    def asked(self):
        """Step until the question is at the hub; its number."""
        for _ in range(ROUNDS):
            self.link.step()
            self.hub.step()
            if self.hub.of(wire.PING):
                return self.hub.of(wire.PING)[-1][0]
        raise AssertionError((self.link.last_error, self.hub.frames))

    def answered(self, *values):
        """Say PONG with these values; what the step says in which it is there."""
        done = self.link.counters["set"] + self.link.counters["failures"]
        self.hub.say(wire.PONG, *values)
        for _ in range(ROUNDS):
            pause = self.link.step()
            if self.link.counters["set"] + self.link.counters["failures"] > done:
                return pause
        raise AssertionError("the answer does not come")

    def exchange(self, told, way_ms=0):
        """A question, and this answer to it after so long."""
        number = self.asked()
        self.clock.advance(way_ms)
        return self.answered(number, told)

    def close(self):
        self.link.close()
        self.hub.close()


def test_it_is_set_to_the_middle_of_the_way():
    world = World()
    assert world.exchange(NOW, way_ms=200) == sntp.AGAIN_MS
    assert world.clock.wall() == NOW + 100 and world.link.error_ms == 100
    assert world.link.counters == {"asked": 1, "set": 1, "failures": 0} and world.link.last_error is None
    assert world.hub.frames[0][0] == wire.PING and len(world.hub.frames) == 1
    world.close()


def test_a_time_that_is_known_is_not_moved_by_a_hub():
    for wall in (NOW, 946684800000):
        world = World(wall)
        if wall != NOW:  # else the machine has kept it
            world.asked()
            world.clock.set(NOW)  # a time server was quicker
            world.answered(world.hub.of(wire.PING)[-1][0], NOW + 86400000)
            assert "left alone" in world.link.last_error
        assert world.link.step() == sntp.AGAIN_MS
        assert world.clock.wall() == NOW
        world.close()


def test_its_own_setting_is_put_right_by_what_a_clock_may_be_off():
    world = World()
    world.exchange(NOW)
    at = world.clock.now()
    for off, taken in ((4000, True), (-4000, True), (90000, False), (-86400000, False)):
        world.clock.advance(sntp.AGAIN_MS)
        right = NOW + world.clock.now() - at
        before = world.clock.wall()
        world.exchange(before + off)
        assert world.clock.wall() == before + off * taken, off
        assert abs(world.clock.wall() - right) <= 4000
    assert "90000 ms" not in world.link.last_error and "86400000 ms" in world.link.last_error
    world.close()


def test_a_hub_of_an_older_version_says_none():
    world = World()
    pause = world.answered(world.asked())
    assert sntp.BACKOFF_MS // 2 <= pause <= sntp.BACKOFF_MS and "newer" in world.link.last_error
    assert world.clock.offset is None
    world.close()


def test_what_is_no_time_is_not_taken():
    for told in (1000, True, "1800000000250", None, 1.5, 4102444800000, 10**18, 10**30):
        world = World()
        world.exchange(told)
        assert world.clock.offset is None and world.link.counters["failures"] == 1, told
        world.close()
    world = World()
    number = world.asked()
    world.hub.say(wire.PONG, (number + 1) % (1 << 32), NOW + 10**9)  # of another question
    world.answered(number, NOW)
    assert world.clock.wall() == NOW
    world.close()


def test_a_hub_that_refuses_hangs_up_or_talks_nonsense():
    for trouble, why in (
        (lambda hub: hub.say(wire.REFUSE, "full", "too many links"), "too many links"),
        (lambda hub: hub.hang_up(), "closed"),
        (lambda hub: hub.link.send(b"HTTP/1.0 400 what?\r\n\r\n"), ""),
        (lambda hub: hub.link.send(b"\x00\x00\x10\x00\x0a\x01"), ""),  # a frame of more than an answer may have
        (lambda hub: hub.say(wire.PONG, "x"), ""),
    ):
        world = World()
        world.asked()
        trouble(world.hub)
        for _ in range(ROUNDS):
            pause = world.link.step()
            if world.link.counters["failures"]:
                break
        assert sntp.BACKOFF_MS // 2 <= pause <= sntp.BACKOFF_MS and why in world.link.last_error
        assert world.link._socket is None and world.clock.offset is None
        assert world.exchange(NOW) == sntp.AGAIN_MS, "and it is asked again"
        assert world.link.last_error is None
        world.close()


def test_every_question_has_a_number_that_nobody_guesses_and_its_link_is_given_back():
    world = World()
    numbers = set()
    polled = []

    class Poller:
        def __init__(self, real):
            self.real = real

        def register(self, s, mask):
            polled.append(1)
            self.real.register(s, mask)

        def unregister(self, s):
            polled.append(-1)
            self.real.unregister(s)

        def poll(self, ms):
            return self.real.poll(ms)

    world.link._poller = Poller(world.link._poller)
    for _ in range(5):
        numbers.add(world.asked())
        world.answered(world.hub.of(wire.PING)[-1][0], NOW + world.clock.now())
        world.clock.advance(sntp.AGAIN_MS)
    assert len(numbers) == 5 and max(numbers) > 1 << 24
    assert polled == [1, -1] * 5
    world.close()


def test_how_far_its_own_setting_may_be_moved():
    most = hub_time.SLACK_MS + sntp.AGAIN_MS // hub_time.DRIFT
    for off in (most, -most, most + 1, -most - 1):
        world = World()
        world.exchange(NOW)
        world.clock.advance(sntp.AGAIN_MS)
        before = world.clock.wall()
        world.exchange(before + off)
        assert world.clock.wall() == before + (off if abs(off) == most else 0), off
        world.close()


def test_nobody_and_silence_are_failures_with_a_back_off():
    world = World()
    world.asked()
    world.clock.advance(hub_time.ANSWER_MS)
    assert sntp.BACKOFF_MS // 2 <= world.link.step() <= sntp.BACKOFF_MS
    assert "no answer" in world.link.last_error
    world.hub.close()
    for _ in range(ROUNDS):
        pause = world.link.step()
        world.clock.advance(1)
        if world.link.counters["failures"] == 2:
            break
    assert sntp.BACKOFF_MS <= pause <= 2 * sntp.BACKOFF_MS, (pause, world.link.last_error)
    world.close()


def test_asked_again_when_there_is_a_network():
    world = World()
    scheduler = Scheduler(world.clock)
    world.hub.close()
    world.link.keep(scheduler)
    world.link.keep(scheduler)
    assert scheduler.next_wake() is not None and len(scheduler._tasks) == 1, "one question at a time"
    world.close()
