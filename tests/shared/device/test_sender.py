# heap: 1024k
# timeout: 60
"""The sender against a hub that does what the test says, over a real socket."""

import errno
import os
import random
import select
import socket

from scripted_hub import Pair, ScriptedHub, folder

from bourn import wire
from bourn.device import sender as module
from bourn.device.connections import open_connection
from bourn.device.connections.tcp import open_tcp, split_url
from bourn.device.sender import Sender
from bourn.spool import Gap
from bourn.spool.segments import SegmentSpool
from bourn.testing import FaultyFiles, ManualClock

SEED = 7


def raises(error, function, *args):
    try:
        function(*args)
    except error:
        return
    raise AssertionError("no %s" % error.__name__)


# Greeting and resuming


def test_hello_says_who_it_is_and_what_it_has():
    pair = Pair()
    source, epoch, oldest, about = pair.greet()
    assert (source, epoch, oldest) == ("s1", pair.spool.epoch, 1)
    assert "python" in about["runtime"]
    pair.close()


def test_data_arrives_as_it_was_emitted():
    pair = Pair()
    pair.emit(1, -2.5, "é", [1, [2]], None)
    pair.greet()
    pair.until(lambda: len(pair.hub.numbers()) == 5)
    readings = [(first, t0 + dt, name, val) for first, t0, rs in pair.hub.of(wire.DATA) for name, dt, val in rs]
    assert [r[3] for r in readings] == [1, -2.5, "é", [1, [2]], None]
    assert readings[0][1] == pair.clock.wall()
    pair.close()


def test_welcome_tells_where_to_go_on():
    pair = Pair()
    pair.emit(1, 2, 3, 4, 5)
    pair.greet(last=3)
    pair.until(lambda: pair.hub.numbers() == [4, 5])
    assert (pair.sender.counters["known"], pair.sender.counters["acked"]) == (3, 0)
    assert pair.spool.waiting() == 2
    pair.close()


def test_a_hub_that_knows_less_gets_it_again_or_learns_that_it_is_gone():
    pair = Pair(max_bytes=4096, segment_bytes=256)
    pair.emit(*range(30))
    pair.greet(window=1000)
    pair.until(lambda: len(pair.hub.numbers()) == 30)
    pair.hub.say(wire.ACK, pair.spool.epoch, 20)  # the files that hold 1 to 20 only are removed
    pair.settle()
    pair.hub.hang_up()
    pair.settle()
    pair.clock.advance(module.Sender.backoff_cap_ms)
    hello = pair.greet(last=2)
    assert hello[2] == 21
    pair.until(lambda: pair.hub.numbers() and pair.hub.numbers()[-1] == 30)
    ((first, last, reason),) = pair.hub.of(wire.GAP)
    assert (first, reason) == (3, "trimmed") and pair.hub.numbers() == list(range(last + 1, 31))
    pair.close()


def test_an_older_epoch_is_drained_first():
    pair = Pair()
    pair.emit(1, 2, 3)
    old = pair.spool.epoch
    pair.spool.close()
    pair.open()
    pair.emit(4)
    assert pair.greet()[1] == old
    pair.until(lambda: pair.hub.numbers() == [1, 2, 3])
    pair.settle()
    assert len(pair.hub.of(wire.HELLO)) == 1, "not before the older one is acknowledged"
    pair.hub.say(wire.ACK, old, 3)
    pair.until(lambda: len(pair.hub.of(wire.HELLO)) == 2)
    assert pair.hub.of(wire.HELLO)[1][1:3] == [pair.spool.epoch, 1]
    pair.hub.say(wire.WELCOME, pair.spool.epoch, 0, 10, False, "hub")
    pair.until(lambda: pair.hub.numbers() == [1, 2, 3, 1])
    pair.hub.say(wire.ACK, pair.spool.epoch, 1)
    pair.until(lambda: not pair.spool.waiting())
    counters = pair.sender.counters
    assert (counters["sent"], counters["acked"], counters["resent"], counters["known"]) == (4, 4, 0, 0)
    pair.close()


def test_a_hub_that_does_not_even_let_in_is_given_up():
    door = ScriptedHub()
    pair = Pair(connect=lambda url: door._listener)  # as one that connects: neither to be read nor written
    pair.clock.advance(10 * module.QUIET_MS)
    pair.settle()
    assert pair.sender.state == "connecting", pair.sender.last_error
    pair.clock.advance(2 * module.ANSWER_MS - 1)
    pair.settle()
    assert pair.sender.state == "connecting"
    pair.clock.advance(1)
    pair.step()
    assert pair.sender.state == "down" and "answer" in pair.sender.last_error
    pair.close()


def test_a_welcome_for_another_epoch_ends_the_link():
    pair = Pair()
    pair.until(lambda: pair.hub.link and pair.hub.of(wire.HELLO))
    pair.hub.say(wire.WELCOME, "f" * 16, 0, 10, False, "hub")
    pair.until(lambda: pair.sender.state == "down")
    assert "epoch" in pair.sender.last_error
    pair.close()


# Windows, credit, acks


def test_frames_are_of_a_size_that_a_board_can_spare():
    pair = Pair()
    pair.emit(*["x" * 2000 for _ in range(20)])
    pair.emit("y" * 30000, 1)
    pair.greet()
    pair.until(lambda: len(pair.hub.numbers()) == 22)
    sizes = [sum([len(val) if isinstance(val, str) else 1 for _, _, val in rs]) for _, _, rs in pair.hub.of(wire.DATA)]
    assert max([size for size in sizes if size != 30000]) <= module.PIECE_BYTES and 30000 in sizes, sizes
    assert len(sizes) <= 9, sizes
    pair.close()


def test_a_sender_with_nothing_to_do_sleeps():
    pair = Pair()
    pair.emit(1)
    pair.greet()
    pair.until(lambda: pair.hub.numbers() == [1])
    pair.settle()
    assert list(pair.sender.poller.poll(20)) == []
    pair.close()


def test_credit_is_asked_for_again_in_the_next_epoch():
    pair = Pair()
    pair.emit(1)
    old = pair.spool.epoch
    pair.spool.close()
    pair.open()
    pair.emit(2, 3)
    pair.greet(window=0, shared=True)
    pair.until(lambda: pair.hub.of(wire.WANT) == [[3]])
    pair.hub.say(wire.CREDIT, 1)
    pair.until(lambda: pair.hub.numbers() == [1])
    pair.hub.say(wire.ACK, old, 1)
    pair.until(lambda: len(pair.hub.of(wire.HELLO)) == 2)
    pair.greet(window=0, shared=True)
    pair.until(lambda: pair.hub.of(wire.WANT) == [[3], [2]])
    pair.close()


def test_not_more_than_the_window_is_under_way():
    pair = Pair()
    pair.emit(*range(10))
    pair.greet(window=3)
    pair.settle()
    assert pair.hub.numbers() == [1, 2, 3] and pair.sender.in_flight() == 3
    pair.hub.say(wire.ACK, pair.spool.epoch, 3)
    pair.until(lambda: pair.hub.numbers() == [1, 2, 3, 4, 5, 6])
    pair.settle()
    assert len(pair.hub.numbers()) == 6
    pair.close()


def test_shared_credit_is_asked_for_used_and_given_back():
    pair = Pair()
    pair.emit(1, 2, 3)
    pair.greet(window=0, shared=True)
    pair.until(lambda: pair.hub.of(wire.WANT) == [[3]])
    assert not pair.hub.numbers()
    pair.hub.say(wire.CREDIT, 1)
    pair.until(lambda: pair.hub.numbers() == [1])
    pair.hub.say(wire.ACK, pair.spool.epoch, 1)  # the credit went back to the network
    pair.settle()
    assert pair.hub.numbers() == [1] and len(pair.hub.of(wire.WANT)) == 1
    pair.emit(4)
    pair.until(lambda: pair.hub.of(wire.WANT) == [[3], [1]])
    pair.hub.say(wire.CREDIT, 5)
    pair.until(lambda: pair.hub.numbers() == [1, 2, 3, 4])
    pair.until(lambda: pair.hub.of(wire.CREDIT) == [[2]])
    pair.settle()
    assert pair.hub.of(wire.CREDIT) == [[2]]
    pair.close()


def test_credit_of_before_a_greeting_counts_for_nothing():
    pair = Pair()
    pair.emit(1)
    pair.until(lambda: pair.hub.link and pair.hub.of(wire.HELLO))
    pair.hub.say(wire.CREDIT, 5)
    pair.settle()
    pair.hub.say(wire.WELCOME, pair.spool.epoch, 0, 0, True, "hub")
    pair.until(lambda: pair.hub.of(wire.WANT))
    pair.settle()
    assert not pair.hub.numbers()
    pair.close()


def test_what_is_acknowledged_is_forgotten():
    pair = Pair()
    pair.emit(*range(5))
    pair.greet()
    pair.until(lambda: len(pair.hub.numbers()) == 5)
    assert pair.spool.waiting() == 5
    pair.hub.say(wire.ACK, pair.spool.epoch, 5)
    pair.until(lambda: pair.spool.waiting() == 0)
    assert pair.sender.counters["acked"] == pair.sender.counters["sent"] == 5
    pair.close()


def test_acks_that_are_old_or_of_another_epoch_change_nothing():
    pair = Pair()
    pair.emit(*range(4))
    pair.greet(window=4)
    pair.until(lambda: len(pair.hub.numbers()) == 4)
    pair.hub.say(wire.ACK, pair.spool.epoch, 4)
    pair.hub.say(wire.ACK, pair.spool.epoch, 2)
    pair.hub.say(wire.ACK, "f" * 16, 9)
    pair.emit(*range(9))
    pair.until(lambda: len(pair.hub.numbers()) == 8)
    pair.settle()
    assert pair.hub.numbers()[-1] == 8 and pair.sender.in_flight() == 4
    pair.close()


def test_an_ack_may_go_further_than_this_link_has_sent():
    pair = Pair()
    pair.emit(*range(10))
    pair.greet(window=4)
    pair.until(lambda: len(pair.hub.numbers()) == 4)
    # The hub had taken more over an older link, and has now committed it.
    pair.hub.say(wire.ACK, pair.spool.epoch, 6)
    pair.until(lambda: pair.hub.numbers() == [1, 2, 3, 4, 7, 8, 9, 10])
    assert pair.sender.in_flight() == 4
    pair.close()


def test_nack_begins_a_new_link_which_knows_how_much_credit_there_is():
    pair = Pair()
    pair.emit(*range(4))
    pair.greet(window=4)
    pair.until(lambda: pair.hub.numbers() == [1, 2, 3, 4])
    pair.hub.say(wire.NACK, "f" * 16, 1)
    pair.settle()
    assert pair.sender.state == "up", "a NACK of another epoch"
    pair.hub.say(wire.NACK, pair.spool.epoch, 3)
    pair.until(lambda: pair.sender.state == "down")
    assert pair.sender.counters["nacks"] == 1 and "misses readings from 3" in pair.sender.last_error
    pair.clock.advance(1000)
    pair.emit(4, 5)
    pair.greet(last=2, window=4)
    pair.until(lambda: pair.hub.numbers()[-1:] == [6])
    assert pair.sender.counters["resent"] == 2 and pair.sender.in_flight() == 4
    pair.close()


def test_a_gap_stands_in_its_place():
    pair = Pair(max_bytes=1024, segment_bytes=256)
    pair.emit(*range(60))
    assert pair.greet(window=1000)[2] == 1
    pair.until(lambda: pair.hub.numbers() and pair.hub.numbers()[-1] == 60)
    ((first, last, reason),) = pair.hub.of(wire.GAP)
    assert (first, reason) == (1, "full")
    assert pair.hub.numbers() == list(range(last + 1, 61))
    pair.hub.say(wire.ACK, pair.spool.epoch, last)
    pair.hub.say(wire.ACK, pair.spool.epoch, 60)
    pair.until(lambda: not pair.spool.waiting())
    assert pair.sender.counters["acked"] == 60 - last
    pair.close()


# Trouble on the network


def test_refused_and_garbage_end_the_link_and_are_told():
    for say in (lambda hub: hub.say(wire.REFUSE, "source", "not you"), lambda hub: hub.link.send(b"HTTP/1.1 400\r\n")):
        pair = Pair()
        pair.greet()
        say(pair.hub)
        pair.until(lambda: pair.sender.state == "down")
        assert pair.sender.last_error and pair.sender.counters["failures"] == 1
        pair.settle()
        assert pair.sender.state == "down", "it does not come back at once"
        pause = pair.sender._retry_at - pair.clock.now()
        if "refused" in pair.sender.last_error:
            assert pause >= 8 * module.BACKOFF_MS, "it will not be better in a moment"
        else:
            assert pause <= module.BACKOFF_MS
        pair.clock.advance(module.Sender.backoff_cap_ms)
        pair.greet()
        pair.close()


def test_what_follows_a_refusal_is_of_no_interest():
    pair = Pair()
    pair.until(lambda: pair.hub.link and pair.hub.of(wire.HELLO))
    welcome = wire.encode(wire.WELCOME, pair.spool.epoch, 0, 10, False, "hub")
    pair.hub.link.send(wire.encode(wire.REFUSE, "source", "not you") + welcome)
    pair.until(lambda: pair.sender.state == "down")
    assert pair.sender.counters["links"] == 0
    pair.close()


def test_a_welcome_ends_the_backing_off():
    pair = Pair()
    for _ in range(4):
        pair.until(lambda: pair.hub.link and pair.hub.of(wire.HELLO))
        pair.hub.hang_up()
        pair.until(lambda: pair.sender.state == "down")
        pair.clock.advance(module.Sender.backoff_cap_ms)
    pair.emit(1)
    pair.greet()
    pair.until(lambda: pair.sender.in_flight() == 1)
    pair.hub.hang_up()
    pair.until(lambda: pair.sender.state == "down")
    assert pair.sender._retry_at - pair.clock.now() <= module.BACKOFF_MS
    assert pair.sender.in_flight() == 0
    pair.close()


def test_frames_that_only_senders_say_end_the_link():
    pair = Pair()
    pair.greet()
    pair.hub.say(wire.WANT, 3)
    pair.until(lambda: pair.sender.state == "down")
    assert "WANT" in pair.sender.last_error
    pair.close()


def test_the_link_may_be_cut_anywhere():
    chance = random.Random(SEED) if hasattr(random, "Random") else random
    if chance is random:
        random.seed(SEED)
    pair = Pair()
    stored = []  # by the hub, in order
    total = 0
    for _ in range(40):
        pair.clock.advance(module.Sender.backoff_cap_ms)
        count = chance.randint(0, 4)
        pair.emit(*range(total, total + count))
        total += count
        patience = chance.randint(0, 12)  # steps until the cut
        greeted = 0
        seen = 0
        for _ in range(patience):
            pair.step()
            if not pair.hub.link:
                continue
            hellos = pair.hub.of(wire.HELLO)
            if len(hellos) > greeted:
                greeted = len(hellos)
                pair.hub.say(wire.WELCOME, pair.spool.epoch, len(stored), 3, False, "hub")
            numbers = pair.hub.numbers()
            for number in numbers[seen:]:
                assert number == len(stored) + 1, (SEED, number, stored)
                stored.append(number)
            if len(numbers) > seen and chance.randint(0, 2):
                pair.hub.say(wire.ACK, pair.spool.epoch, len(stored))
            seen = len(numbers)
        pair.hub.hang_up()
        pair.settle()
    pair.clock.advance(module.Sender.backoff_cap_ms)
    pair.greet(last=len(stored), window=1000)
    rest = total - len(stored)
    pair.until(lambda: len(pair.hub.numbers()) == rest)
    pair.hub.say(wire.ACK, pair.spool.epoch, total)
    pair.until(lambda: not pair.spool.waiting())
    assert total > 40, SEED
    assert pair.sender.counters["links"] > 10, SEED
    pair.close()


def test_backoff_grows_to_its_cap_and_is_half_random():
    for byte in (b"\0\0", b"\xff\xff"):
        clock = ManualClock()
        dialled = []

        def connect(url, clock=clock, dialled=dialled):
            dialled.append(clock.now())
            raise OSError(111, "refused")

        path = folder("backoff")
        sender = Sender("tcp://127.0.0.1:9", "s1", SegmentSpool(path), clock, connect, lambda n, byte=byte: byte)
        for _ in range(8000):
            clock.advance(10)
            sender.wait(0)
        pauses = [dialled[i + 1] - dialled[i] for i in range(len(dialled) - 1)]
        expected = [min(module.Sender.backoff_cap_ms, module.BACKOFF_MS << i) for i in range(len(pauses))]
        share = 2 if byte == b"\0\0" else 1
        assert len(pauses) > 8
        for pause, whole in zip(pauses, expected):
            assert 0 <= pause - whole // share <= 10, (pauses, expected)
        sender.close()
        os.rmdir(path)


def test_a_quiet_link_is_asked_and_then_given_up():
    pair = Pair()
    pair.greet()
    pair.clock.advance(module.QUIET_MS - 1)
    pair.settle()
    assert not pair.hub.of(wire.PING)
    pair.clock.advance(1)
    pair.until(lambda: pair.hub.of(wire.PING))
    pair.hub.say(wire.PONG, 0, 1800000000000)  # a newer hub says its time, too
    pair.settle()
    pair.clock.advance(module.QUIET_MS)
    pair.until(lambda: len(pair.hub.of(wire.PING)) == 2)
    pair.clock.advance(module.QUIET_MS - 1)
    pair.settle()
    assert pair.sender.state == "up"
    pair.clock.advance(1)
    pair.step()
    assert pair.sender.state == "down" and "answer" in pair.sender.last_error
    pair.close()


def test_a_slow_sensor_keeps_its_link():
    # Silence counts from when an answer is expected, not from the last reading but one.
    for shared in (False, True):
        pair = Pair()
        pair.greet(window=0 if shared else 10, shared=shared)
        for n in range(1, 4):
            pair.clock.advance(module.QUIET_MS - 1000)
            pair.emit(n)
            pair.step()
            pair.step()
            assert pair.sender.state == "up", pair.sender.last_error
            if shared:
                pair.until(lambda n=n: len(pair.hub.of(wire.WANT)) == n)
                pair.hub.say(wire.CREDIT, 1)
            pair.until(lambda n=n: len(pair.hub.numbers()) == n)
            pair.hub.say(wire.ACK, pair.spool.epoch, n)
            pair.until(lambda: not pair.spool.waiting())
        assert pair.hub.links == 1
        pair.close()


def test_a_silent_hub_is_noticed_although_readings_go_on():
    pair = Pair()
    pair.greet(window=1000)
    for n in range(2 * module.ANSWER_MS // 1000):
        assert pair.sender.state == "up", n
        pair.clock.advance(1000)
        pair.emit(n)
        pair.step()
        pair.step()
    pair.clock.advance(1000)
    pair.settle()
    assert pair.sender.state == "down" and "answer" in pair.sender.last_error
    pair.close()


def test_a_hub_that_gives_no_credit_is_asked_whether_it_is_there():
    pair = Pair()
    pair.greet(window=0, shared=True)
    pair.emit(1)
    pair.until(lambda: pair.hub.of(wire.WANT) == [[1]])
    pair.clock.advance(module.ANSWER_MS)
    pair.until(lambda: pair.hub.of(wire.PING))
    pair.close()


def test_a_hub_that_stops_answering_is_left_after_a_while():
    pair = Pair()
    pair.greet()
    pair.emit(1)
    pair.until(lambda: pair.hub.numbers() == [1])
    pair.clock.advance(module.ANSWER_MS)
    pair.until(lambda: pair.hub.of(wire.PING))
    pair.clock.advance(module.ANSWER_MS)
    pair.step()
    assert pair.sender.state == "down"
    pair.clock.advance(module.Sender.backoff_cap_ms)
    pair.greet()
    pair.until(lambda: pair.hub.numbers() == [1])
    assert pair.sender.counters["resent"] == 1
    pair.close()


def test_an_outbox_that_was_drained_long_ago_goes_on_with_the_new_epoch():
    pair = Pair()
    pair.emit(1)
    old = pair.spool.epoch
    pair.spool.close()
    pair.open()
    pair.greet()
    pair.until(lambda: pair.hub.numbers() == [1])
    pair.hub.say(wire.ACK, old, 1)
    pair.until(lambda: not pair.spool.waiting())
    pair.clock.advance(module.QUIET_MS - 1000)  # nothing to say for a while
    pair.emit(2)
    pair.until(lambda: len(pair.hub.of(wire.HELLO)) == 2)
    pair.settle()
    assert pair.sender.state == "greeting", pair.sender.last_error
    pair.greet()
    pair.until(lambda: pair.hub.numbers() == [1, 1])
    assert pair.sender.counters["failures"] == 0 and pair.hub.links == 1
    pair.close()


def all_dropped(pair):
    """Everything of the older epoch is dropped, the newer one is full; the older one."""
    pair.emit(*range(20))
    old = pair.spool.epoch
    pair.spool.close()
    pair.open()
    while pair.spool.read(None, 1)[0][1] != Gap(1, 20, "full"):
        pair.emit(0)
    return old


def test_a_gap_at_the_end_of_an_epoch_is_acknowledged_before_the_next_one_begins():
    pair = Pair(max_bytes=2048, segment_bytes=256)
    old = all_dropped(pair)
    assert pair.greet()[1] == old
    pair.until(lambda: pair.hub.of(wire.GAP) == [[1, 20, "full"]])
    pair.settle()
    assert len(pair.hub.of(wire.HELLO)) == len(pair.hub.of(wire.GAP)) == 1
    pair.hub.say(wire.ACK, old, 20)
    pair.until(lambda: len(pair.hub.of(wire.HELLO)) == 2)
    assert pair.greet()[1] == pair.spool.epoch
    pair.until(pair.hub.numbers)
    assert pair.sender.counters["links"] == 2 and pair.hub.links == 1
    pair.close()


def test_a_gap_whose_ack_does_not_come_is_told_again():
    pair = Pair(max_bytes=2048, segment_bytes=256)
    old = all_dropped(pair)
    pair.greet()
    pair.until(lambda: pair.hub.of(wire.GAP))
    pair.hub.say(wire.ACK, old, 0)  # the hub had taken it over an older link, and not committed it yet
    pair.clock.advance(module.QUIET_MS)
    pair.until(lambda: pair.hub.of(wire.PING))
    pair.hub.say(wire.PONG, 0)
    pair.until(lambda: pair.hub.of(wire.GAP) == [[1, 20, "full"]] * 2)
    pair.hub.say(wire.ACK, old, 20)
    pair.until(lambda: len(pair.hub.of(wire.HELLO)) == 2)
    pair.close()


def test_a_hub_that_has_more_than_there_ever_was_is_not_believed():
    pair = Pair()
    pair.emit(1, 2, 3)
    for n in range(2):
        pair.clock.advance(module.Sender.backoff_cap_ms)
        pair.until(lambda: pair.hub.link and pair.hub.of(wire.HELLO))
        if n == 0:
            pair.hub.say(wire.WELCOME, pair.spool.epoch, 4, 10, False, "hub")
        else:
            pair.greet()
            pair.hub.say(wire.ACK, pair.spool.epoch, 4)
        pair.until(lambda: pair.sender.state == "down")
        assert "more than" in pair.sender.last_error and pair.spool.waiting() == 3
    pair.close()


def test_a_frame_that_no_hub_has_reason_to_send_costs_no_memory():
    pair = Pair()
    pair.greet()
    pair.hub.link.send(b"\x00\x00\xff\x00\x0b\x01")
    pair.until(lambda: pair.sender.state == "down")
    assert "bytes" in pair.sender.last_error
    pair.close()


def test_a_ping_of_the_hub_is_answered():
    pair = Pair()
    pair.greet()
    pair.hub.say(wire.PING, 42)
    pair.until(lambda: pair.hub.of(wire.PONG) == [[42]])
    pair.close()


class Drip:
    """A socket that takes seven bytes at a time, and every other time none."""

    def __init__(self, url):
        self.count = 0
        self._socket = open_connection(url)
        self.close = self._socket.close
        self.recv = self._socket.recv

    def fileno(self):
        return self._socket.fileno()

    def send(self, data):
        self.count += 1
        if self.count % 2:
            raise OSError(errno.EAGAIN, "not now")
        return self._socket.send(data[:7])


def test_a_socket_may_take_little_at_a_time():
    if not hasattr(socket, "socketpair"):  # MicroPython polls the objects it made, and no others
        return
    pair = Pair(connect=Drip)
    pair.emit(*range(50))
    pair.greet()
    pair.until(lambda: len(pair.hub.numbers()) == 50)
    pair.close()


# What comes in


def test_what_no_hub_could_store_is_refused_here():
    pair = Pair()
    for val in (float("nan"), float("inf"), 1 << 63, b"bytes", {1: 2}, object()):
        pair.sender.on_next(("s1", 0, val))
    for ts in (1.5, None, "0", 1 << 63):
        pair.sender.on_next(("s1", ts, 1))
    pair.sender.on_next(("", 0, 1))
    pair.sender.on_next(("s1", 0, "x" * 70000))
    assert pair.sender.counters["invalid"] == 12
    assert pair.spool.waiting() == 0
    pair.close()


def test_a_reading_that_fits_no_frame_here_is_a_gap():
    pair = Pair()
    pair.emit("x", "x" * 200, "y")
    limit = wire.MAX_READING
    wire.MAX_READING = 100  # an outbox that was written by an interpreter whose JSON is shorter
    try:
        pair.greet()
        pair.until(lambda: pair.hub.numbers() == [1, 3])
    finally:
        wire.MAX_READING = limit
    assert pair.hub.of(wire.GAP) == [[2, 2, "too_long"]]
    assert [kind for kind, _ in pair.hub.frames] == [wire.HELLO, wire.DATA, wire.GAP, wire.DATA]
    pair.hub.say(wire.ACK, pair.spool.epoch, 3)
    pair.until(lambda: not pair.spool.waiting())
    pair.close()


def test_a_disk_that_cannot_be_read_is_a_state_of_the_link():
    pair = Pair()
    pair.emit(1, 2)
    pair.greet(window=1)
    pair.until(lambda: pair.hub.numbers() == [1])
    good = pair.spool.read

    def read(after, limit):
        raise OSError(5, "the medium is broken")

    pair.spool.read = read
    pair.hub.say(wire.ACK, pair.spool.epoch, 1)
    pair.settle()
    assert pair.sender.state == "down" and "broken" in pair.sender.last_error
    pair.emit(3)
    pair.clock.advance(module.Sender.backoff_cap_ms)
    pair.settle()
    assert pair.sender.state == "down" and pair.sender.counters["failures"] >= 2
    pair.spool.read = good
    pair.clock.advance(module.Sender.backoff_cap_ms)
    pair.greet(last=1)
    pair.until(lambda: pair.hub.numbers() == [2, 3])
    pair.close()


def test_the_outbox_is_read_once_and_never_without_credit_while_something_is_under_way():
    pair = Pair()
    pair.emit(*["x" * 1000 for _ in range(50)])  # several frames of what one read gives
    asked = []
    read = pair.spool.read

    def counting(after, limit):
        entries = read(after, limit)
        asked.append([place[1] for place, _ in entries])
        return entries

    pair.greet(window=20)
    pair.until(lambda: len(pair.hub.numbers()) == 20)
    pair.spool.read = counting
    pair.emit(1, 2, 3)
    pair.settle()
    assert not asked
    pair.hub.say(wire.ACK, pair.spool.epoch, 20)
    pair.until(lambda: len(pair.hub.numbers()) == 40)
    pair.hub.say(wire.ACK, pair.spool.epoch, 40)
    pair.until(lambda: len(pair.hub.numbers()) == 53)
    assert [n for numbers in asked for n in numbers] == list(range(21, 54)), asked
    pair.close()


def test_a_full_outbox_that_blocks_waits_for_the_hub():
    pair = Pair(max_bytes=1024, segment_bytes=256, policy="block")
    pair.greet(window=1000)
    emitted = 0
    while pair.spool.counters["refused"] == 0 and emitted < 100:
        # the hub acknowledges when the outbox is full: seen in `wait`, which the sender calls itself
        wait = pair.sender.wait

        def answering(ms, wait=wait):
            pair.hub.step()
            pair.hub.say(wire.ACK, pair.spool.epoch, pair.hub.numbers()[-1])
            return wait(5)

        pair.sender.wait = answering
        pair.emit(emitted)
        pair.sender.wait = wait
        pair.step()
        emitted += 1
    assert pair.spool.counters["refused"] >= 1
    assert pair.spool.counters["appended"] == emitted, "the one that had to wait is there, too"
    pair.close()


def test_a_full_outbox_that_blocks_gives_up_when_the_program_is_to_end():
    pair = Pair(max_bytes=1024, segment_bytes=256, policy="block")
    waker = socket.socket()  # anything that is ready at once: this one was never connected
    pair.sender.poller.register(waker, select.POLLIN)
    for n in range(100):
        pair.sender.on_next(("s1", 0, n))
    assert pair.spool.counters["refused"] > 0
    pair.sender.poller.unregister(waker)
    waker.close()
    pair.close()


def test_a_full_outbox_that_blocks_waits_for_no_connection_that_has_ended():
    pair = Pair(max_bytes=1024, segment_bytes=256, policy="block")
    pair.sender.state = "ended"  # a pipe whose hub is gone: it cannot be opened again
    waits = []

    def wait(ms):
        waits.append(ms)
        assert len(waits) < 10, "it waits for ever"
        return False

    pair.sender.wait = wait
    for n in range(100):
        pair.emit(n)
    assert pair.spool.counters["refused"] > 0 and pair.spool.counters["appended"] > 0
    pair.close()


def test_a_disk_that_fails_is_counted_and_the_next_reading_tries_again():
    files = FaultyFiles()
    pair = Pair(files=files, policy="drop_newest")
    pair.emit(1)

    def write(file, data):
        raise OSError(5, "the medium is broken")

    good, pair.spool._active.write = pair.spool._active.write, lambda data: write(None, data)
    pair.emit(2)
    assert pair.sender.counters["lost"] == 1 and "broken" in pair.sender.last_error
    pair.emit(3)
    assert pair.spool.waiting() == 2
    pair.greet()
    pair.until(lambda: pair.hub.numbers() == [1, 2])
    assert [r[2] for _, _, rs in pair.hub.of(wire.DATA) for r in rs] == [1, 3]
    assert good
    pair.close()


def test_drain():
    pair = Pair(clock=None)
    assert pair.sender.drain(0)
    pair.emit(1)
    assert not pair.sender.drain(0)
    pair.greet()
    pair.until(lambda: pair.hub.numbers() == [1])
    pair.hub.say(wire.ACK, pair.spool.epoch, 1)
    assert pair.sender.drain(1000)
    pair.close()


def test_drain_does_not_wait_for_a_long_backoff():
    dialled = []

    class Running(ManualClock):
        """Each look at it takes 10 ms, so that a drain comes to its end."""

        def now(self):
            self._now += 10
            return self._now

    clock = Running()

    def connect(url):
        dialled.append(clock._now)
        raise OSError(111, "refused")

    path = folder("drain")
    sender = Sender("tcp://127.0.0.1:9", "s1", SegmentSpool(path), clock, connect)
    sender.on_next(("s1", 0, 1))
    sender._attempts = 20
    sender.wait(0)
    sender.poller = NoWaiting()
    assert not sender.drain(2500)
    pauses = [dialled[i + 1] - dialled[i] for i in range(len(dialled) - 1)]
    assert len(pauses) >= 5 and max(pauses) <= 2 * module.BACKOFF_MS, pauses
    sender.close()
    for name in os.listdir(path):
        os.remove(path + "/" + name)
    os.rmdir(path)


class NoWaiting:
    """Polls nothing, and takes no time."""

    def poll(self, ms):
        return []


def test_a_socket_blocks_nobody():
    hub = ScriptedHub()
    s = open_tcp("127.0.0.1", hub.port)
    try:
        s.recv(1)
    except OSError as e:
        assert e.args[0] in (errno.EAGAIN, 107), e  # or not connected yet
    s.close()
    hub.close()


def test_urls():
    assert split_url("tcp://127.0.0.1:7007") == ("127.0.0.1", 7007)
    assert split_url("tcp://[::1]:80") == ("::1", 80)
    for url in ("", "tcp://", "tcp://host", "tcp://:1", "tcp://h:0", "tcp://h:65536", "tcp://h:x", "http://h:1"):
        raises(ValueError, split_url, url)
    path = folder("names")
    for name in ("", "a b", "../x", "é", "-x", "x" * 65):
        raises(ValueError, Sender, "tcp://h:1", name, SegmentSpool(path))
    os.rmdir(path)


def test_no_memory_is_a_state_of_the_link_and_a_reading_lost():
    pair = Pair()
    pair.emit(1, 2)
    pair.greet(window=1)
    pair.until(lambda: pair.hub.numbers() == [1])
    good_read, good_append = pair.spool.read, pair.spool.append

    def no_memory(*arguments):
        raise MemoryError

    pair.spool.read = no_memory
    pair.hub.say(wire.ACK, pair.spool.epoch, 1)
    pair.settle()
    assert pair.sender.state == "down" and pair.sender.counters["failures"] == 1, pair.sender.last_error
    pair.clock.advance(module.Sender.backoff_cap_ms)
    pair.settle()  # as it greets: the HELLO asks the outbox
    assert pair.sender.state == "down" and pair.sender.counters["failures"] == 2, pair.sender.last_error
    pair.spool.append = no_memory
    pair.emit(3)
    assert pair.sender.counters["lost"] == 1
    pair.spool.read, pair.spool.append = good_read, good_append
    pair.emit(4)
    pair.clock.advance(module.Sender.backoff_cap_ms)
    pair.greet(last=1)
    pair.until(lambda: pair.hub.numbers() == [2, 3])
    assert [r[2] for _, _, rs in pair.hub.of(wire.DATA) for r in rs] == [2, 4]
    pair.close()


def test_drain_does_not_wait_for_what_has_ended():
    pair = Pair()
    pair.emit(1)
    pair.sender.state = "ended"
    pair.sender.wait = None  # it would be called
    assert not pair.sender.drain(10000)
    pair.close()


def test_a_hub_that_is_slow_and_says_that_it_is_there_gets_nothing_twice():
    pair = Pair()
    pair.emit(1, 2)
    pair.greet()
    pair.until(lambda: pair.hub.numbers() == [1, 2])
    for n in range(1, 6):  # its disk is full, say
        pair.clock.advance(module.ANSWER_MS)
        pair.until(lambda n=n: len(pair.hub.of(wire.PING)) == n)
        pair.hub.say(wire.PONG, 0)
        pair.settle()
    assert pair.hub.numbers() == [1, 2] and pair.sender.in_flight() == 2 and pair.hub.links == 1
    pair.hub.say(wire.ACK, pair.spool.epoch, 2)
    pair.until(lambda: not pair.spool.waiting())
    assert pair.sender.counters["resent"] == 0
    pair.close()
