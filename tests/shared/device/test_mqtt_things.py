# heap: 300k
# timeout: 30
"""MQTT in a flow: what is written arrives, what comes is emitted."""

from scripted_broker import ScriptedBroker

from bourn.device.mqtt_things import MQTTReader, MQTTWriter
from bourn.scheduler import Scheduler
from bourn.testing import ManualClock, Recorder
from bourn.things import OutputThing, SensorEvent

ROUNDS = 3000


def until(condition, *things):
    for _ in range(ROUNDS):
        if condition():
            return
        for thing in things:
            thing()
    raise AssertionError("never")


def test_a_writer_takes_thingflows_arguments_and_publishes_json():
    broker = ScriptedBroker()
    broker.acks = True
    writer = MQTTWriter("me", "127.0.0.1", broker.port, "a/b", clock=ManualClock())
    source = OutputThing()
    source.connect(writer)
    for x in (SensorEvent("s", 5, 1.5), [1, "ü"], b"raw", "text", None):
        source._dispatch_next(x)
    until(lambda: len(broker.payloads()) == 5, broker.step, lambda: writer.wait(1))
    assert broker.of(0x10)[0][10:] == b"\x00\x02me"
    wanted = [b'["s",5,1.5]', '[1,"ü"]'.encode(), b"raw", b"text", b"null"]
    assert [payload.replace(b", ", b",").replace(b"\\u00fc", "ü".encode()) for payload in broker.payloads()] == wanted
    for x in (SensorEvent("s", 5, float("nan")),):
        try:
            writer.on_next(x)
            raise AssertionError("not refused")
        except ValueError as e:
            assert "nan" in str(e)
    until(lambda: not writer.client.waiting(), broker.step, lambda: writer.wait(1))
    source._dispatch_completed()
    assert source.errors == 0 and writer.client.state == "down"
    broker.close()


def test_a_writer_without_a_broker_keeps_the_newest():
    writer = MQTTWriter("me", "127.0.0.1", 1, "t", queue=3, clock=ManualClock())
    for i in range(10):
        writer.on_next(i)
    assert writer.client.counters["dropped"] == 7 and writer.refused == 0
    writer = MQTTWriter("me", "127.0.0.1", 1, "t", queue=3, policy="block", clock=ManualClock())
    for i in range(10):
        writer.on_next(i)
    assert writer.refused == 7


def test_a_reader_emits_events_and_counts_garbage():
    broker = ScriptedBroker()
    broker.acks = True
    reader = MQTTReader("me", "127.0.0.1", broker.port, "a/#", clock=ManualClock())
    recorder = Recorder()
    reader.connect(recorder)
    until(reader.client.ready, broker.step, lambda: reader.wait(1))
    assert broker.of(0x80)[0][2:] == b"\x00\x03a/#\x01"
    for payload in (b'["s",5,1.5]', b"{", b"[1]", b"\xff\xfe", b'["s",6,null]'):
        broker.say(bytes((0x32, 7 + len(payload))) + b"\x00\x03a/b\x00\x07" + payload)
    until(lambda: len(recorder.events) == 2, broker.step, lambda: reader.wait(1))
    assert [tuple(x) for x in recorder.events] == [("s", 5, 1.5), ("s", 6, None)]
    until(lambda: len(broker.of(0x40)) == 5, broker.step, lambda: reader.wait(1))
    assert reader.garbage == 3
    reader.close()
    assert recorder.end == "completed"
    broker.close()


def test_no_memory_for_a_message_costs_that_message():
    class Client:
        step = None
        left = 1

        def publish(self, topic, payload, qos, retain):
            self.left -= 1
            if self.left < 0:
                raise MemoryError("by the test")
            return True

    writer = MQTTWriter("me", topic="t", client=Client())
    thing = OutputThing()
    thing.connect(writer)
    for x in range(3):
        thing._dispatch_next(x)
    assert writer.refused == 2 and not thing.errors


def test_a_scheduler_that_waits_with_a_writer_keeps_its_times():
    clock = ManualClock()
    broker = ScriptedBroker()
    broker.acks = True
    writer = MQTTWriter("me", "127.0.0.1", broker.port, "t", clock=clock)

    class Counter:
        sensor_id = "n"
        count = 0

        def sample(self):
            self.count += 1
            return self.count

    def wait(ms):  # the clock is the test's: what the device would wait passes at once
        until(lambda: not writer.client.waiting(), broker.step, lambda: writer.wait(1))
        clock.advance(ms)

    scheduler = Scheduler(clock, wait)
    scheduler.schedule_sensor(Counter(), 1, writer)
    until(lambda: len(broker.payloads()) >= 5, broker.step, lambda: step(scheduler, clock, wait))
    times = [eval_ts(payload) for payload in broker.payloads()]
    assert [b - a for a, b in zip(times, times[1:])] == [1000] * (len(times) - 1)
    writer.client.close()
    broker.close()


def step(scheduler, clock, wait):
    scheduler.run_due(clock.now())
    wait(scheduler.next_wake() - clock.now())


def eval_ts(payload):
    return int(payload.split(b",")[1])
