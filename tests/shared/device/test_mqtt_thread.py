# heap: 600k
# timeout: 60
"""The MQTT client with a thread of its own: many publish, nothing is torn, nobody waits for ever."""

import threading

from scripted_broker import ScriptedBroker

from bourn.clock import Clock
from bourn.device.mqtt_thread import ThreadClient

TIME_S = 30  # of anything that is waited for


class Served:
    """A scripted broker in a thread of its own, and a client."""

    def __init__(self, **options):
        self.broker = ScriptedBroker()
        self.broker.acks = True
        self.over = False
        self.got = []  # payloads over all links; only the broker's thread touches it until `close`
        self.client = ThreadClient("127.0.0.1", self.broker.port, clock=Clock(), **options)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.over:
            self.broker._poller.poll(1)
            self.broker.step()
            self.got += self.broker.payloads()
            self.broker.packets = []

    def close(self):
        self.client.close()
        self.over = True
        self.thread.join()
        self.broker.close()


def test_four_threads_and_every_message_whole_and_in_order():
    served = Served(window=8, queue=10)

    def work(k):
        for i in range(100):
            assert served.client.publish("t", "%d %d" % (k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served.client.drain(TIME_S * 1000)
    served.close()
    got = [[int(n) for n in payload.decode().split()] for payload in served.got]
    assert len(got) == 400
    for k in range(4):
        assert [i for who, i in got if who == k] == list(range(100))
    assert served.client.counters["acked"] == 400


def test_who_waits_for_room_goes_on_when_the_client_is_closed():
    served = Served(queue=1, window=1)
    served.broker.acks = False
    said = []
    waiter = threading.Thread(target=lambda: said.extend([served.client.publish("t", "%d" % i) for i in range(3)]))
    waiter.start()
    waiter.join(0.2)
    assert waiter.is_alive()
    assert not served.client.drain(10)
    served.client.close()
    waiter.join(TIME_S)
    assert said[:2] == [True, True] and said[2] is False
    assert served.client.publish("t", "late") is False
    served.close()


def test_what_on_message_raises_is_told_and_the_link_made_anew():
    told = []
    heard = threading.Event()

    def on_message(topic, payload, retained):
        if not told:
            raise RuntimeError("once")
        heard.set()

    served = Served(on_message=on_message, told=told.append)
    served.broker.answers[0x82] = b"\x90\x03\xff\x00\x01\x30\x05\x00\x01thi"  # SUBACK, and a message at once
    served.client.subscribe("t")
    assert heard.wait(TIME_S)
    assert [str(e) for e in told] == ["once"]
    assert served.client.counters["links"] == 2
    served.close()


def test_publishing_from_where_messages_are_heard_never_waits_for_itself():
    said = []
    done = threading.Event()

    def on_message(topic, payload, retained):
        for _ in range(5):
            said.append(served.client.publish("back", payload))
        done.set()

    served = Served(queue=2, on_message=on_message)
    served.broker.answers[0x82] = b"\x90\x03\xff\x00\x01\x30\x05\x00\x01thi"
    served.client.subscribe("t")
    assert done.wait(TIME_S)
    assert said == [True, True, False, False, False]
    served.close()


def test_drain_ends_as_soon_as_nothing_waits():
    for qos in (1, 0):
        served = Served(window=1, queue=10)
        for i in range(300):
            assert served.client.publish("t", "%d" % i, qos)
            assert served.client.drain(TIME_S * 1000), i
            assert served.client.waiting() == 0, i
        served.close()
        assert len(served.got) == 300
