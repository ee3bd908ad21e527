# heap: 96k
"""The time from the network: a real exchange over UDP with a small server, and every reply that does not count."""

import os
import socket
import struct

from bourn.clock import RELATIVE
from bourn.device import sntp
from bourn.device.board_clock import BoardClock
from bourn.device.sntp import ReplyError, TimeLink, read, request
from bourn.scheduler import Scheduler
from bourn.testing import ManualClock

NOW = 1800000000250  # the server's time
NONCE = b"\x01\x02\x03\x04\x05\x06\x07\x08"


def stamp(ms):
    ms += 2208988800000
    return struct.pack(">II", (ms // 1000) & 0xFFFFFFFF, ((ms % 1000 << 32) + 999) // 1000)


def reply(nonce=NONCE, first=0x24, stratum=2, received=NOW, sent=NOW, delay=0, dispersion=0, name=b"abcd"):
    head = bytes((first, stratum, 6, 0xEC)) + struct.pack(">II", delay, dispersion) + name + stamp(NOW - 1000)
    return head + nonce + stamp(received) + stamp(sent)


def refused(data, nonce=NONCE):
    try:
        read(data, nonce)
    except ReplyError as e:
        return e
    raise AssertionError("it was taken")


class Server:
    """Answers on a real socket, as told."""

    def __init__(self, clock):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for port in range(20123, 20923, 7):  # one that is free: a board's sockets do not tell theirs
            try:
                self.socket.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
                self.port = port
                break
            except OSError:
                continue
        self.socket.setblocking(False)
        self.clock = clock
        self.options = {}
        self.off_ms = 0  # its clock
        self.held_ms = 0  # between its getting the question and its answer, as it says
        self.extra = b""  # another reply, before
        self.silent = False

    def answer(self):
        try:
            data, sender = self.socket.recvfrom(128)
        except OSError:
            return
        assert data[0] == 0x23 and len(data) == 48 and data[1:40] == bytes(39), "no stamp of ours, and nothing else"
        if self.silent:
            return
        if self.extra:
            self.socket.sendto(self.extra, sender)
        wall = NOW + self.off_ms + self.clock.now()
        self.socket.sendto(reply(data[40:], received=wall, sent=wall + self.held_ms, **self.options), sender)


def test_a_question_holds_nothing_but_a_nonce():
    assert request(NONCE) == b"\x23" + bytes(39) + NONCE


def test_a_reply_is_read_and_the_next_era_is_understood():
    assert read(reply(sent=NOW + 7), NONCE) == (NOW, NOW + 7)
    for ms in (2085978495999, 2085978496001, 2085978496500, 3000000000000):  # the era ends on 2036-02-07
        assert read(reply(received=ms, sent=ms), NONCE) == (ms, ms)


def test_replies_that_do_not_count():
    for data in (
        reply()[:47],
        reply(nonce=b"x" * 8),
        reply(first=0x23),  # a client
        reply(first=0x25),  # a broadcast
        reply(first=0xE4),  # not synchronized
        reply(stratum=16),
        reply(delay=1 << 16),
        reply(dispersion=1 << 16),
        reply()[:40] + bytes(8),
        reply()[:32] + bytes(8) + reply()[40:],
        reply(sent=NOW - 1),  # answered before it was asked
        reply(first=0x04),  # no version
        reply(first=0x2C),  # version 5
        b"",
    ):
        assert not refused(data).kiss
    kiss = refused(reply(stratum=0, name=b"RATE"))
    assert kiss.kiss == "RATE"
    read(reply(delay=(1 << 32) - 5), NONCE)  # a delay may be slightly negative
    read(reply(delay=(1 << 16) - 1, dispersion=(1 << 16) - 1, stratum=15, first=0x0C) + b"more", NONCE)
    assert refused(reply(stratum=0, name=b"\0\xff\x07 ")).kiss == "?", "a kiss without a word is one"


def test_a_board_clock_before_and_after():
    machine = ManualClock(946684800000)  # 2000-01-01, as boards say
    told = []
    clock = BoardClock(machine, told.append)
    machine.advance(1234)
    assert clock.offset is None and clock.wall() == RELATIVE + 1234 and clock.now() == 1234
    for wrong in (1000, -1, 1735689599999, 4102444800000, 10**18, 10**30):
        try:
            clock.set(wrong)
            raise AssertionError("%d was taken" % wrong)
        except ValueError as e:
            assert "2025" in str(e)
    assert clock.offset is None and told == []
    for end in (1735689600000, 4102444799999):
        again = BoardClock(ManualClock(946684800000))
        again.set(end)
        assert again.wall() == end == BoardClock(ManualClock(end)).wall()
    assert BoardClock(ManualClock(4102444800000)).offset is None, "a calendar that has run over knows nothing"
    clock.set(NOW)
    machine.advance(10)
    assert (clock.wall(), clock.now(), told) == (NOW + 10, 1244, [NOW])
    kept = BoardClock(ManualClock(NOW))
    assert kept.wall() == NOW  # it was kept over the reset


class World:
    def __init__(self):
        self.clock = BoardClock(ManualClock(946684800000))
        self.server = Server(self.clock)
        self.link = TimeLink(self.clock, "127.0.0.1", self.server.port)

    def step(self, way_ms=0):
        """One step; the answer is on its way for `way_ms`."""
        pause = self.link.step()
        self.clock.advance(way_ms // 2)
        self.server.answer()
        self.clock.advance(way_ms - way_ms // 2)
        return pause

    def close(self):
        self.server.socket.close()
        self.link.close()


def test_a_real_exchange_sets_the_clock_to_the_middle_of_the_way():
    world = World()
    assert world.step(way_ms=200) == sntp.LOOK_MS
    assert world.link.step() == sntp.AGAIN_MS
    assert world.clock.wall() == NOW + world.clock.now()
    assert world.link.error_ms == 100
    assert world.link.counters == {"asked": 1, "set": 1, "failures": 0}
    world.close()


def test_a_false_reply_before_the_true_one_changes_nothing():
    world = World()
    world.server.extra = reply(nonce=b"guessed!", sent=NOW + 10**9)
    world.step()
    assert world.link.step() == sntp.LOOK_MS and world.clock.offset is None
    assert world.link.step() == sntp.AGAIN_MS
    assert world.clock.wall() == NOW + world.clock.now()
    world.close()


def test_silence_is_a_failure_with_a_back_off_and_a_kiss_is_heeded():
    world = World()
    world.server.silent = True
    pauses = []
    while len(pauses) < 10:
        pause = world.step()
        world.clock.advance(pause)
        if world.link.counters["failures"] > len(pauses):
            pauses.append(pause)
    for i, pause in enumerate(pauses):
        longest = min(sntp.BACKOFF_CAP_MS, sntp.BACKOFF_MS << i)
        assert longest // 2 <= pause <= longest
    assert "no answer" in world.link.last_error and world.clock.offset is None
    world.server.silent = False
    world.server.options = {"stratum": 0, "name": b"DENY"}
    world.step()
    assert world.link.step() >= sntp.BACKOFF_CAP_MS // 2 and "DENY" in world.link.last_error
    world.server.options = {}
    world.step()
    world.link.step()
    assert world.clock.wall() == NOW + world.clock.now()
    world.close()


def test_a_server_that_is_far_off_sets_nothing():
    """Its clock begins in the year 2000, or is beyond what the calendars of boards reach."""
    for ms in (946684800000, 1735689500000, 4102444800000):
        world = World()
        world.server.off_ms = ms - NOW
        world.step()
        assert sntp.BACKOFF_MS // 2 <= world.link.step() <= sntp.BACKOFF_MS
        assert world.clock.offset is None and "2025" in world.link.last_error
        world.server.off_ms = 0
        world.step()
        assert world.link.step() == sntp.AGAIN_MS
        assert world.clock.wall() == NOW + world.clock.now() and world.link.last_error is None
        world.close()


def test_a_server_that_takes_its_time_and_one_that_lies_about_it():
    # 300 ms on the way there and back, of them 200 at the server; then one that says it had it for longer than that
    for held_ms, error_ms in ((200, 50), (300, 0), (400, 0)):
        world = World()
        world.server.held_ms = held_ms
        world.step(way_ms=300)
        assert world.link.step() == sntp.AGAIN_MS
        assert world.link.error_ms == error_ms
        assert world.clock.wall() == NOW + 150 + held_ms + error_ms
        world.close()
    world = World()
    world.server.held_ms = -86400000
    world.step()
    assert world.link.step() == sntp.LOOK_MS and world.clock.offset is None, "the true one may be under way"
    world.clock.advance(sntp.TIMEOUT_MS)
    world.link.step()
    assert world.link.counters["failures"] == 1 and "no answer" in world.link.last_error
    world.close()


def test_a_success_begins_the_pauses_anew_and_no_socket_is_left():
    world = World()
    before = len(os.listdir("/proc/self/fd"))
    for round_ in range(3):
        world.server.silent = True
        for failures in range(1, 5):
            for _ in range(100):
                pause = world.step()
                world.clock.advance(pause)
                if world.link.counters["failures"] == 4 * round_ + failures:
                    break
            longest = sntp.BACKOFF_MS << failures - 1
            assert longest // 2 <= pause <= longest, (round_, failures, pause)
        world.server.silent = False
        world.step()
        assert world.link.step() == sntp.AGAIN_MS and world.link.last_error is None
    assert len(os.listdir("/proc/self/fd")) == before
    world.close()


def test_nobody_listens_and_a_name_that_is_none():
    world = World()
    world.server.socket.close()
    world.link.step()
    for _ in range(100):
        world.clock.advance(sntp.LOOK_MS)
        if world.link.step() != sntp.LOOK_MS:
            break
    assert world.link.counters == {"asked": 1, "set": 0, "failures": 1} and world.link._socket is None
    assert "no answer" not in world.link.last_error, "the machine there says that nobody listens"
    link = TimeLink(world.clock, "no.such.name.invalid")
    assert link.step() >= sntp.BACKOFF_MS // 2 and link.counters["failures"] == 1 and link._socket is None
    link.close()


def test_a_program_that_is_awake_for_a_moment_waits_for_it():
    for silent in (False, True):
        world = World()
        world.server.silent = silent
        real = world.clock.sleep

        def sleep(ms, world=world, real=real):
            real(ms)
            world.server.answer()

        world.clock.sleep = sleep
        assert world.link.wait(5000) is not silent
        assert world.clock.now() == (5000 if silent else sntp.LOOK_MS) and world.link.wait(0) is not silent
        world.close()


def test_the_scheduler_keeps_it():
    world = World()
    scheduler = Scheduler(world.clock)
    real = world.clock.sleep

    def wait(ms):
        world.server.answer()
        real(ms)

    scheduler.wait = wait
    world.link.keep(scheduler)
    scheduler.schedule_later_one_time(scheduler.stop, 25 * 3600)
    scheduler.run_forever()
    assert world.link.counters == {"asked": 5, "set": 5, "failures": 0}
    world.close()
