# heap: 512k
# timeout: 60
"""The faulty network of bourn.testing: each of its faults, and that a seed is one history."""

import errno
import select

from bourn.testing import FaultyNetwork, ManualClock, raises

SEED = 20261121


def pair(**faults):
    clock = ManualClock()
    network = FaultyNetwork(clock, SEED, **faults)
    near, far = network.pair()
    return clock, network, near, far


def code(function, *arguments):
    return raises(OSError, function, *arguments).args[0]


def received(end):
    """All that has arrived."""
    data = b""
    end.connection.network.deliver()
    while end.has_something():
        got = end.recv(7)
        if not got:
            break
        data += got
    return data


def test_bytes_arrive_in_order_after_the_delay():
    clock, network, near, far = pair(delay_ms=50)
    assert near.send(b"abc") == 3 and near.send(memoryview(b"de")) == 2
    assert code(far.recv, 10) == errno.EAGAIN
    clock.advance(49)
    assert code(far.recv, 10) == errno.EAGAIN and network.next_due() == 50
    clock.advance(1)
    assert far.recv(4) == b"abcd" and far.recv(4) == b"e" and code(far.recv, 4) == errno.EAGAIN
    far.send(b"back")
    clock.advance(50)
    assert near.recv(10) == b"back" and network.next_due() is None


def test_a_delay_that_varies_keeps_the_order():
    clock, network, near, far = pair(delay_ms=(1, 500))
    for i in range(50):
        near.send(bytes([i]))
        clock.advance(3)
        network.deliver()
    clock.advance(500)
    assert received(far) == bytes(range(50))


def test_the_end_of_a_stream_comes_after_its_bytes():
    clock, network, near, far = pair(delay_ms=10)
    near.send(b"last")
    near.close()
    assert code(far.recv, 10) == errno.EAGAIN and code(near.send, b"x") == errno.EBADF
    clock.advance(10)
    assert far.recv(10) == b"last" and far.recv(10) == b""
    far.send(b"who hears it?")
    clock.advance(10)
    network.deliver()
    assert network.counters["lost_bytes"] == 13
    assert code(far.send, b"x") == errno.ECONNRESET, "the other end is closed, and said so"
    assert network.connections
    far.close()
    assert not network.connections


def test_a_half_closed_connection_still_goes_the_other_way():
    _, _, near, far = pair()
    near.shutdown()
    far.send(b"answer")
    assert far.recv(10) == b"" and near.recv(10) == b"answer"


def test_a_full_window_makes_the_writer_wait():
    clock, network, near, far = pair(delay_ms=5, window=100)
    assert near.send(b"x" * 150) == 100 and code(near.send, b"x") == errno.EAGAIN
    assert not near.events(select.POLLOUT)
    clock.advance(5)
    network.deliver()
    assert near.events(select.POLLOUT) and near.send(b"y" * 50) == 50 and len(received(far)) == 100


def test_a_slow_line_takes_its_time():
    clock, network, near, far = pair(bytes_per_s=1000)
    near.send(b"a" * 1500)
    near.send(b"b" * 500)
    for passed, there in ((0, 0), (1, 1), (499, 500), (500, 1000), (500, 1500), (499, 1999), (1, 2000)):
        clock.advance(passed)
        network.deliver()
        assert len(far._incoming) == there, (clock.now(), there)
    assert received(far) == b"a" * 1500 + b"b" * 500
    network.heal()
    near.send(b"c" * 5000)
    assert len(far.recv(9999)) == 5000


def test_a_cut_loses_what_is_under_way_and_tells_whom_it_should():
    for near_told in (False, True):
        for far_told in (False, True):
            clock, network, near, far = pair(delay_ms=10)
            near.send(b"before")
            clock.advance(10)
            network.deliver()
            near.send(b"under way")
            near.connection.cut(near_told, far_told)
            for end, told in ((near, near_told), (far, far_told)):
                if end is far:
                    assert far.recv(100) == b"before", "what had arrived is there"
                if told:
                    assert code(end.recv, 10) == code(end.send, b"x") == errno.ECONNRESET
                    assert end.events(select.POLLIN) & select.POLLHUP
                else:
                    assert code(end.recv, 10) == errno.EAGAIN and end.send(b"x") == 1
            kind = "cut" if near_told or far_told else "half_open"
            assert network.counters[kind] == 1
            assert network.counters["lost_bytes"] == 9 + (not near_told) + (not far_told)


def test_a_half_open_connection_is_silent_for_ever():
    clock, network, near, far = pair(delay_ms=1)
    near.connection.half_open()
    for _ in range(1000):
        assert near.send(b"hello") == 5
    near.close()
    clock.advance(10**9)
    assert code(far.recv, 10) == errno.EAGAIN and network.next_due() is None
    assert network.counters["half_open"] == 1 and network.counters["lost_bytes"] == 5000


def test_what_is_duplicated_arrives_twice():
    _, network, near, far = pair(duplicate=1)
    near.send(b"ab")
    near.send(b"cd")
    assert received(far) == b"ababcdcd" and network.counters["duplicated"] == 2
    network.heal()
    near.send(b"ef")
    assert received(far) == b"ef"


def test_what_is_reordered_is_overtaken_and_not_lost():
    clock, network, near, far = pair(reorder=0.2)
    network.hold_ms = 20
    sent = list(range(100))
    for i in sent:
        near.send(bytes([i]))
        clock.advance(5)
        network.deliver()
    clock.advance(100)
    got = list(received(far))
    assert sorted(got) == sent and got != sent
    late = [i for i in sent if got.index(i) > i]
    assert 0 < len(late) <= network.counters["reordered"] < 40
    assert max([got.index(i) - i for i in sent]) <= 4, "held for 20 ms, while one is sent every 5 ms"


def test_by_hand():
    clock, _, near, far = pair(delay_ms=None)
    near.send(b"abcdef")
    near.send(b"gh")
    near.shutdown()
    clock.advance(10**6)
    assert code(far.recv, 10) == errno.EAGAIN and near.line.waiting() == 8
    near.connection.up.deliver(7)
    assert received(far) == b"abcdefg" and code(far.recv, 1) == errno.EAGAIN
    near.connection.up.deliver()
    assert far.recv(10) == b"h" and far.recv(10) == b""


def test_connect_gives_the_other_side_its_end():
    ends = []
    network = FaultyNetwork(ManualClock(), SEED)
    assert code(network.connect, "tcp://hub:7007") == errno.ECONNREFUSED
    network.listen(ends.append)
    near = network.connect("tcp://hub:7007")
    near.send(b"hello")
    assert ends[0].recv(10) == b"hello" and ends[0].fileno() != near.fileno()
    network.down = True
    assert code(network.connect, "tcp://hub:7007") == errno.ECONNREFUSED
    assert network.counters["connections"] == 1 and network.counters["refused"] == 2


def test_polling_passes_the_time_and_nothing_else_does():
    clock, network, near, far = pair(delay_ms=30)
    poller = network.poller()
    poller.register(far, select.POLLIN)
    assert poller.poll(0) == [] and clock.now() == 0
    assert poller.poll(1000) == [] and clock.now() == 1000
    near.send(b"x")
    assert poller.poll(1000) == [(far.fileno(), select.POLLIN)] and clock.now() == 1030
    far.recv(1)
    near.send(b"y")
    assert poller.poll() == [(far.fileno(), select.POLLIN)] and clock.now() == 1060
    far.recv(1)
    assert "for ever" in str(raises(RuntimeError, poller.poll))
    poller.modify(far, select.POLLIN | select.POLLOUT)
    assert poller.poll(-1) == [(far.fileno(), select.POLLOUT)]
    poller.unregister(far)
    near.send(b"z")
    assert poller.poll(100) == [] and clock.now() == 1160
    assert "ends only" in str(raises(TypeError, poller.register, object()))
    assert "cannot block" in str(raises(ValueError, near.setblocking, True))


def history(seed):
    """What happens on a network with all faults at once."""
    clock = ManualClock()
    network = FaultyNetwork(clock, seed, (0, 40), 20000, cut=0.02, half_open=0.02, duplicate=0.1, reorder=0.1)
    ends, seen = [], []
    network.listen(ends.append)
    near = network.connect("tcp://hub:1")
    for i in range(300):
        try:
            near.send(b"%d," % i)
        except OSError:
            near.close()
            near = network.connect("tcp://hub:1")
        if i % 40 == 39:  # as who gives up a connection that is silent
            near.close()
            near = network.connect("tcp://hub:1")
        clock.advance(7)
        network.deliver()
        seen.append([bytes(end._incoming) for end in ends][-1])
    return seen, network.counters


def test_a_seed_is_one_history():
    seen, counters = history(SEED)
    assert (seen, counters) == history(SEED)
    assert seen != history(SEED + 1)[0]
    for kind in ("connections", "cut", "half_open", "duplicated", "reordered", "lost_bytes"):
        assert counters[kind], (kind, counters)
    print("seed", SEED, counters)


def test_chances_are_what_they_say():
    network = FaultyNetwork(ManualClock(), SEED)
    for p in (0, 0.01, 0.3, 1):
        hits = sum([network.chance(p) for _ in range(5000)])
        assert abs(hits - 5000 * p) <= 100, (p, hits)
