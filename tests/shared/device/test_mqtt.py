# heap: 300k
# timeout: 60
"""The MQTT client, byte by byte, against a broker that does what the test says."""

from scripted_broker import CONNACK, Table, narrow, number_of

from bourn.device import mqtt_hearing, mqtt_packet
from bourn.device.mqtt import Client
from bourn.testing import ManualClock

ANSWER_MS = 10000  # as the client has them
OUT_BYTES = 2048


def raises(what, *arguments, **options):
    try:
        what(*arguments, **options)
    except ValueError as e:
        return str(e)
    raise AssertionError("no ValueError")


def test_connect_packets():
    assert mqtt_packet.connect("a", 60, True, None, None, None) == b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
    whole = mqtt_packet.connect("id", 300, False, "u", "pw", ("t/x", b"gone", 1, True))
    assert whole == b"\x10\x20\x00\x04MQTT\x04\xec\x01\x2c\x00\x02id\x00\x03t/x\x00\x04gone\x00\x01u\x00\x02pw"
    assert mqtt_packet.connect("", 5, True, "u", None, ("t", "", 0, False))[9] == 0x86


def test_publish_packets():
    assert mqtt_packet.publish("a/b", b"hi", 0, False) == b"\x30\x07\x00\x03a/bhi"
    short = mqtt_packet.publish("a/b", "hi", 1, True)
    assert short == b"\x33\x09\x00\x03a/b\x00\x00hi" and mqtt_packet.place_of_number(short) == 7
    long = mqtt_packet.publish("t", b"x" * 200, 1, False)
    assert long[:9] == b"\x32\xcd\x01\x00\x01t\x00\x00x" and mqtt_packet.place_of_number(long) == 6
    assert mqtt_packet.publish("t", b"", 0, True) == b"\x31\x03\x00\x01t"
    for topic, qos in (("", 1), ("a/+", 1), ("#", 0), ("a\0b", 0), ("a", 2), ("a", -1)):
        raises(mqtt_packet.publish, topic, b"", qos, False)
    raises(mqtt_packet.publish, "x" * 65536, b"", 0, False)


def test_lengths():
    for n, head in ((0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (16383, b"\xff\x7f"), (16384, b"\x80\x80\x01")):
        packet = mqtt_packet.packet(0x30, bytes(n))
        assert packet[1 : -n or None] == head
        assert mqtt_packet.cut(b"", bytes(packet), 20000) == ([(0x30, bytes(n), n)], b"")


def test_a_stream_cut_anywhere_gives_the_same_packets():
    stream = CONNACK + b"\x30\x07\x00\x03a/bhi" + mqtt_packet.packet(0x30, b"\x00\x01t" + b"z" * 200) + b"\xd0\x00"
    whole, rest = mqtt_packet.cut(b"", bytes(stream), 4096)
    assert rest == b""
    assert [n for _, _, n in whole] == [2, 7, 203, 0]
    for size in range(1, len(stream)):
        found = []
        for at in range(0, len(stream), size):
            packets, rest = mqtt_packet.cut(rest, bytes(stream[at : at + size]), 4096)
            found += packets
        assert found == whole and rest == b"", size


def test_a_long_packet_is_never_held():
    stream = bytes(mqtt_packet.packet(0x32, b"\x00\x01t\x00\x07" + b"z" * 5000)) + b"\x40\x02\x00\x01"
    for size in (1, 7, 100, 5100):
        found, rest = [], b""
        for at in range(0, len(stream), size):
            packets, rest = mqtt_packet.cut(rest, stream[at : at + size], 64)
            found += packets
            assert isinstance(rest, int) or len(rest) <= 70
        assert [(first, len(body), n) for first, body, n in found] == [(0x32, 64, 5005), (0x40, 2, 2)]
        assert mqtt_hearing.message(*found[0]) == ("", None, False, b"\x00\x07")


def test_what_is_no_mqtt():
    raises(mqtt_packet.cut, b"", b"\x30\xff\xff\xff\xff\x01", 100)
    assert mqtt_packet.cut(b"", b"\x30\xff\xff\xff", 100) == ([], b"\x30\xff\xff\xff")
    for first, body in ((0x34, b"\x00\x01t\x00\x01"), (0x30, b"\x00\x09t"), (0x32, b"\x00\x01t\x00")):
        raises(mqtt_hearing.message, first, body, len(body))


def test_settings_that_are_wrong():
    for options in ({"policy": "all"}, {"window": 0}, {"queue": 0}, {"keepalive_s": 1}, {"clean": False}):
        raises(Client, "h", **options)
    client = Client("h")
    raises(client.subscribe, "t", 2)
    raises(client.subscribe, "")
    raises(client.publish, "a/#", b"")


def test_messages_go_in_order_within_the_window():
    table = Table(window=3, queue=10)
    for i in range(8):
        assert table.client.publish("t", str(i))
    assert table.client.waiting() == 8
    table.up()
    assert table.broker.payloads() == [b"0", b"1", b"2"]
    numbers = [number_of(body) for body in table.broker.of(0x30)]
    assert numbers == [b"\x00\x01", b"\x00\x02", b"\x00\x03"]
    table.broker.say(b"\x40\x02" + numbers[1])  # acks may come in any order
    table.settle()
    table.broker.say(b"\x40\x02" + numbers[0] + b"\x40\x02" + numbers[2] + b"\x40\x02\xfe\x00")
    table.settle()
    assert table.broker.payloads() == [b"0", b"1", b"2", b"3", b"4", b"5"]
    table.broker.acks = True
    for body in table.broker.of(0x30)[3:]:
        table.broker.say(b"\x40\x02" + number_of(body))
    table.until(lambda: not table.client.waiting())
    assert table.broker.payloads() == [b"%d" % i for i in range(8)]
    assert (table.client.counters["sent"], table.client.counters["acked"]) == (8, 8)
    table.close()


class Spy:
    """Counts the writes of a channel; takes `most` bytes at once."""

    def __init__(self, channel, most):
        self._channel = channel
        self._most = most
        self.writes = []

    def recv(self, n):
        return self._channel.recv(n)

    def send(self, data):
        self.writes.append(len(data))
        return self._channel.send(data[: self._most])

    def close(self):
        self._channel.close()


def test_one_write_for_each_packet():
    table = Table()
    table.up()
    spy = table.client._channel = Spy(table.client._channel, 1000)
    for size in (0, 10, 100, 900):
        table.client.publish("topic", b"x" * size)
        table.client.publish("topic", b"x" * size, 0)
    assert len(spy.writes) == 8
    table.client._channel = spy._channel
    table.close()


def test_writes_that_are_taken_in_part():
    table = Table()
    table.broker.acks = True
    table.up()
    spy = table.client._channel = Spy(table.client._channel, 7)
    for i in range(20):
        table.client.publish("t", b"%02d" % i * 10)
    table.until(lambda: not table.client.waiting())
    assert table.broker.payloads() == [b"%02d" % i * 10 for i in range(20)]
    assert len(spy.writes) > 40
    table.close()


def test_a_broker_that_does_not_read():
    table = Table(receive_buffer=2048, connect=narrow, window=999, queue=200, policy="drop_newest")
    table.up()
    table.broker.reads = False
    for i in range(40):
        table.client.publish("t", b"%03d" % i * 400, i & 1)
        table.client.step()
    assert len(table.client._out) < OUT_BYTES + 2000
    table.broker.reads = table.broker.acks = True
    table.until(lambda: not table.client.waiting())
    assert [payload[:3] for payload in table.broker.payloads()] == [b"%03d" % i for i in range(40)]
    table.close()


def test_after_a_cut_all_that_was_not_acknowledged_comes_again():
    table = Table(window=4)
    table.client.subscribe("in/#")
    table.broker.acks = True
    table.up()
    table.client.publish("t", "kept")
    table.until(lambda: not table.client.waiting())
    table.broker.acks = False
    for i in range(6):
        table.client.publish("t", str(i))
    table.settle()
    before = [(first, bytes(body)) for first, body in table.broker.packets if first & 0xF0 == 0x30][1:]
    assert [first for first, _ in before] == [0x32] * 4
    table.broker.hang_up()
    table.settle()
    assert table.client.state == "down" and table.client.counters["failures"] == 1
    table.client.publish("t", "6")
    table.broker.acks = True
    table.up()
    table.until(lambda: not table.client.waiting())
    assert table.broker.links == 2
    assert len(table.broker.of(0x80)) == 1, "it has subscribed again"
    after = [(first, bytes(body)) for first, body in table.broker.packets if first & 0xF0 == 0x30]
    assert after[:4] == [(first | 8, body) for first, body in before], "the same bytes, marked as a repetition"
    assert table.broker.payloads() == [b"%d" % i for i in range(7)]
    assert table.client.counters["resent"] == 4
    table.close()


def test_numbers_wrap_and_leave_out_zero_and_those_of_subscriptions():
    table = Table()
    table.broker.acks = True
    table.up()
    table.client._number = 0xFEFE
    for i in range(3):
        table.client.publish("t", str(i))
    table.until(lambda: not table.client.waiting())
    numbers = [bytes(number_of(body)) for body in table.broker.of(0x30)]
    assert numbers == [b"\xfe\xff", b"\x00\x01", b"\x00\x02"]
    table.close()


def test_policies():
    kept = {"block": [0, 1, 2], "drop_newest": [0, 1, 2], "drop_oldest": [2, 3, 4], "keep_latest": [4]}
    for policy, left in kept.items():
        table = Table(policy=policy, queue=3)
        said = [table.client.publish("t", str(i)) for i in range(5)]
        assert said == [policy.startswith("drop_o") or policy[0] == "k" or i < 3 for i in range(5)]
        lost = {"block": 0, "keep_latest": 4}.get(policy, 2)
        assert table.client.counters["dropped"] == lost
        table.broker.acks = True
        table.up()
        table.until(lambda: not table.client.waiting())
        assert table.broker.payloads() == [b"%d" % i for i in left], policy
        table.close()


def test_what_is_on_its_way_is_never_dropped():
    table = Table(policy="drop_oldest", queue=2, window=2)
    table.up()
    for i in range(9):
        table.client.publish("t", str(i))
    table.settle()
    table.broker.hang_up()
    table.settle()
    table.broker.acks = True
    table.up()
    table.until(lambda: not table.client.waiting())
    assert table.broker.payloads() == [b"0", b"1", b"7", b"8"]
    table.close()


def test_a_quiet_broker_is_asked_and_then_given_up():
    table = Table(keepalive_s=40)
    table.up()
    table.clock.advance(29999)
    table.settle()
    assert not table.broker.of(0xC0)
    table.clock.advance(1)
    table.settle()
    assert len(table.broker.of(0xC0)) == 1
    table.broker.say(b"\xd0\x00")
    table.settle()
    table.clock.advance(30000)
    table.settle()
    assert len(table.broker.of(0xC0)) == 2 and table.client.state == "up"
    table.clock.advance(ANSWER_MS - 1)
    table.settle()
    assert table.client.state == "up"
    table.clock.advance(1)
    table.client.step()
    assert table.client.state == "down" and "does not answer" in table.client.last_error
    table.close()


def test_a_missing_ack_is_waited_for_so_long_and_no_longer():
    table = Table(window=2)
    table.up()
    table.client.publish("t", "a")
    table.client.publish("t", "b")
    table.settle()
    table.clock.advance(ANSWER_MS - 1)
    table.broker.say(b"\x40\x02\x00\x01")
    table.settle()
    table.clock.advance(ANSWER_MS - 1)
    table.settle()
    assert table.client.state == "up"
    table.clock.advance(1)
    table.client.step()
    assert table.client.state == "down"
    table.broker.acks = True
    table.up()
    table.until(lambda: not table.client.waiting())
    assert table.broker.payloads() == [b"b"]
    table.close()


def test_a_broker_that_never_greets_is_given_up():
    table = Table()
    table.broker.answers = {}
    table.settle()
    assert table.client.state == "greeting"
    table.clock.advance(ANSWER_MS)
    table.client.step()
    assert table.client.state == "down"
    table.close()


def test_pauses_grow_to_ten_seconds_and_half_of_each_is_random():
    for byte, most in ((b"\xff\xff", 10000), (b"\x00\x00", 5000)):
        table = Table(random=lambda n: byte * (n // 2))
        table.broker.close()
        pauses = []
        for _ in range(10):
            for _ in range(200):
                table.client.step(1)
                if table.client.state == "down" and table.client._due > table.clock.now():
                    break
            pauses.append(table.client._due - table.clock.now())
            table.clock.advance(pauses[-1])
        assert pauses[0] in (200, 100) and pauses[-1] == most
        assert sorted(pauses) == pauses


def test_a_refusal_says_why_and_takes_longer():
    table = Table(user="me", password="secret")
    table.broker.answers = {0x10: b"\x20\x02\x00\x05"}
    table.until(lambda: table.client.state == "greeting")
    table.until(lambda: table.client.state == "down")
    assert "this client" in table.client.last_error and "secret" not in table.client.last_error
    assert table.client._due - table.clock.now() >= 1600
    table.close()


def test_a_refused_subscription_is_counted_and_named():
    table = Table()
    table.client.subscribe("fine")
    table.client.subscribe("no/#")
    table.up()
    assert not table.client.ready()
    numbers = [bytes(body[:2]) for body in table.broker.of(0x80)]
    table.broker.say(b"\x90\x03" + numbers[0] + b"\x01\x90\x03" + numbers[1] + b"\x80")
    table.settle()
    assert table.client.ready() and table.client.counters["refused"] == 1 and "no/#" in table.client.last_error
    table.close()


def test_messages_are_acknowledged_when_they_were_taken():
    table = Table()
    table.up()
    table.broker.say(b"\x30\x07\x00\x03a/bhi" + b"\x33\x07\x00\x01t\x01\x02hi" + b"\x32\x05\x00\x01t\x00\x09")
    table.settle()
    assert table.heard == [("a/b", b"hi", False), ("t", b"hi", True), ("t", b"", False)]
    assert [bytes(body) for body in table.broker.of(0x40)] == [b"\x01\x02", b"\x00\x09"]
    table.close()


def test_what_on_message_raises_comes_out_and_the_message_stays():
    def fails(topic, payload, retained):
        raise RuntimeError("full")

    table = Table(on_message=fails)
    table.up()
    table.broker.say(b"\x32\x05\x00\x01t\x00\x09")
    try:
        for _ in range(100):
            table.step()
        raise AssertionError("it was swallowed")
    except RuntimeError:
        assert table.client.state == "down"
    table.broker.step()
    assert not table.broker.of(0x40)
    table.close()


def test_a_message_may_be_answered_from_where_it_is_heard():
    table = Table(on_message=lambda topic, payload, retained: table.client.publish("back", payload))
    table.broker.acks = True
    table.up()
    table.broker.say(b"\x32\x07\x00\x01t\x00\x09hi\x30\x05\x00\x01tyo")
    table.until(lambda: len(table.broker.payloads()) == 2)
    assert table.broker.payloads() == [b"hi", b"yo"]
    table.close()


def test_too_long_a_message_is_thrown_away_acknowledged_and_counted():
    table = Table(most=100)
    table.up()
    table.broker.say(bytes(mqtt_packet.packet(0x32, b"\x00\x01t\x00\x07" + b"z" * 30000)) + b"\x30\x05\x00\x01tyo")
    table.until(lambda: table.heard)
    table.settle()
    assert table.heard == [("t", b"yo", False)]
    assert [bytes(body) for body in table.broker.of(0x40)] == [b"\x00\x07"]
    assert (table.client.counters["too_long"], table.client.counters["received"]) == (1, 1)
    table.close()


def test_garbage_from_a_broker_ends_the_link_only():
    for garbage in (
        b"\x30\xff\xff\xff\xff\x01",
        b"\x34\x05\x00\x01t\x00\x01",
        b"\x30\x00",
        b"\x30\x05\x00\x03\xff\xfe\xfd",
    ):
        table = Table()
        table.up()
        table.broker.say(garbage)
        table.until(lambda: table.client.state == "down")
        table.up()
        assert table.client.counters["failures"] == 1
        table.close()


def test_good_bye_is_said():
    table = Table()
    table.up()
    table.client.close()
    for _ in range(20):
        table.broker.step()
    assert table.broker.packets[-1][0] == 0xE0
    table.close()


def test_no_memory_in_the_middle_of_sending_costs_the_link_and_no_message():
    table = Table()
    table.broker.acks = True
    table.up()

    class Starved(Spy):
        def send(self, data):
            Spy.send(self, data)
            raise MemoryError("no room for the rest")

    table.client._channel = Starved(table.client._channel, 3)
    table.client.publish("t", "kept")
    assert table.client.state == "down"
    table.up()
    table.until(lambda: not table.client.waiting())
    assert table.broker.payloads() == [b"kept"]
    table.close()


def test_no_memory_while_it_dials_is_a_state_of_the_link():
    class Worse(OSError):
        def __str__(self):
            raise MemoryError("by the test: none for a text either")

    for e in (MemoryError("by the test"), Worse(5)):

        def connect(host, port):
            raise e

        client = Client("there", 1, clock=ManualClock(), connect=connect)
        client.step()
        assert client.state == "down" and client.counters["failures"] == 1
        assert client.last_error is e or client.last_error == "there:1: by the test"
