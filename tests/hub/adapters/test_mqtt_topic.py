"""MQTT adapters against a real broker."""

import os
import sys
import time

import pytest
from servers import free_port, mosquitto

from bourn import OutputThing
from bourn.hub.adapters import mqtt_topic
from bourn.hub.adapters.mqtt_topic import Message, MqttReader, MqttWriter
from bourn.testing import Recorder

if os.environ.get("CI") != "true":
    pytest.importorskip("paho.mqtt")


@pytest.fixture
def port(tmp_path):
    port = free_port()
    with mosquitto(tmp_path, port):
        yield port


def reading(port, *topics, **options):
    reader, recorder = MqttReader("127.0.0.1", topics, port=port, **options), Recorder()
    reader.connect(recorder)
    assert reader.subscribed.wait(20), reader.last_error
    return reader, recorder


def observe_until(reader, recorder, count):
    end = time.monotonic() + 20
    while len(recorder.events) < count and time.monotonic() < end:
        reader._observe()
        time.sleep(0.005)  # for the broker; there is no clock to advance
    assert len(recorder.events) >= count


def feed(events, writer):
    thing = OutputThing()
    thing.connect(writer)
    for x in events:
        thing._dispatch_next(x)
    thing._dispatch_completed()
    assert thing.errors == 0


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_written_is_read_in_order(port, qos):
    reader, recorder = reading(port, ("a/#", qos))
    writer = MqttWriter("127.0.0.1", "a/b", port=port, qos=1)
    end = time.monotonic() + 20
    while not writer._client.is_connected() and time.monotonic() < end:
        time.sleep(0.005)  # for the broker: paho sends what is given to it while it connects before what waits already
    # As many as are under way at once: with its window (20) full, mosquitto 2.0.11 may deliver later ones first.
    feed([*map(str, range(12)), b"\x00\xff", 1.5, None], writer)
    observe_until(reader, recorder, 15)
    assert [m.payload for m in recorder.events] == [b"%d" % i for i in range(12)] + [b"\x00\xff", b"1.5", b""]
    assert recorder.events[0] == Message("a/b", b"0", min(qos, 1), False)
    assert (writer.sent, writer.dropped, reader.dropped) == (15, 0, 0)
    reader.close()
    assert reader._observe() is False and recorder.end == "completed"


def test_each_of_several_topics(port):
    reader, recorder = reading(port, ("x", 1), ("y", 1))
    feed(["1"], MqttWriter("127.0.0.1", ["x", "y"], port=port))
    observe_until(reader, recorder, 2)
    assert [m.topic for m in recorder.events] == ["x", "y"]
    reader.close()


def test_a_retained_message_waits_for_the_reader(port):
    feed(["kept"], MqttWriter("127.0.0.1", "r", port=port, retain=True))
    reader, recorder = reading(port, ("r", 1))
    observe_until(reader, recorder, 1)
    assert recorder.events == [Message("r", b"kept", 1, True)]
    reader.close()


def test_what_was_written_before_the_broker_came_arrives(tmp_path):
    port = free_port()
    writer = MqttWriter("127.0.0.1", "late", port=port, retain=True, close_s=20)
    for i in range(20):
        writer.on_next(str(i))
    with mosquitto(tmp_path, port):
        writer.on_completed()
        assert (writer.sent, writer.dropped) == (20, 0)
        reader, recorder = reading(port, ("late", 1))
        observe_until(reader, recorder, 1)
        assert recorder.events[-1].payload == b"19"
        reader.close()


def test_without_a_broker_the_end_is_bounded_and_counted():
    writer = MqttWriter("127.0.0.1", "t", port=free_port(), close_s=0.05)
    feed(["a", "b"], writer)
    assert (writer.sent, writer.dropped) == (0, 2)
    writer.on_next("c")
    assert writer.dropped == 3
    writer.close()


def test_queues_are_bounded(port, monkeypatch):
    monkeypatch.setattr(mqtt_topic, "QUEUE_MESSAGES", 10)
    writer = MqttWriter("127.0.0.1", "q", port=free_port(), close_s=0.05)
    feed(map(str, range(25)), writer)
    assert writer.dropped == 25
    reader, recorder = reading(port, ("q", 1))
    feed([str(i) for i in range(8)], MqttWriter("127.0.0.1", "q", port=port))
    feed([str(i) for i in range(8, 12)], MqttWriter("127.0.0.1", "q", port=port))
    end = time.monotonic() + 20
    while reader.dropped < 2 and time.monotonic() < end:
        time.sleep(0.005)
    reader._observe()
    assert [int(m.payload) for m in recorder.events] == list(range(2, 12))
    reader.close()


def test_who_refuses_says_so(tmp_path):
    port = free_port()
    with mosquitto(tmp_path, port, "password_file /dev/null", "allow_anonymous false"):
        writer = MqttWriter("127.0.0.1", "t", port=port, username="me", password="wrong", close_s=0.05)
        end = time.monotonic() + 20
        while writer.last_error is None and time.monotonic() < end:
            time.sleep(0.005)
        assert "uthori" in str(writer.last_error)
        writer.close()


def test_an_event_of_another_type_is_refused():
    writer = MqttWriter("127.0.0.1", "t", port=free_port(), close_s=0)
    for x in ({}, [1], True, object()):
        with pytest.raises(TypeError, match="to_json"):
            writer.on_next(x)
    writer.close()


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    monkeypatch.setitem(sys.modules, "paho", None)
    with pytest.raises(ImportError, match=r"pip install 'bourn\[mqtt\]'"):
        MqttWriter("127.0.0.1", "t")
