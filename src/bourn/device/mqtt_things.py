"""MQTT in a flow: a sink that publishes events, and a source of events that were published."""

import json

from bourn.device.mqtt import Client
from bourn.input_thing import InputThing
from bourn.things import OutputThing, SensorEvent

DRAIN_MS = 5000  # at the end of a stream, for what the broker has not acknowledged


def encode(x):
    """`bytes` and `str` as they are, everything else as JSON: a SensorEvent as [sensor_id, ts, val].

    ValueError for a reading that is no JSON value (NaN, infinity), TypeError for an object.
    """
    if isinstance(x, (bytes, bytearray, str)):
        return x
    if isinstance(x, tuple):
        x = list(x)  # MicroPython writes a named tuple as no JSON at all
        if isinstance(x[-1], float) and x[-1] - x[-1] != 0:
            raise ValueError("JSON has no %r" % x[-1])
    return json.dumps(x)


def decode(topic, payload):
    """The SensorEvent that `encode` has made JSON of. ValueError for anything else."""
    values = json.loads(payload)
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError("no [sensor_id, ts, val]")
    return SensorEvent(*values)


class MQTTWriter(InputThing):
    """Publishes every event to `topic` (QoS 1) at the broker, as the client `name`; never blocks or raises for a link.

    Let the scheduler wait with it, `Scheduler(wait=writer.wait)`, so that what could not be sent at once is sent while
    the device waits. Options are those of `Client`; its `policy` is "drop_oldest" here. `client` may be one that
    several things share, or a ThreadClient, which needs no scheduler. What was dropped stands in `client.counters`.
    """

    def __init__(self, name, host=None, port=None, topic=None, qos=1, retain=False, client=None, **options):
        if client is None:
            options["policy"] = options.get("policy", "drop_oldest")
            client = Client(host, port, name, **options)
        self.client = client
        self.topic = topic
        self._qos = qos
        self._retain = retain
        self.refused = 0  # events that the policy did not take
        self.wait = client.step

    def on_next(self, x):
        """Publish one event. ValueError or TypeError when it is no JSON."""
        if not self.client.publish(self.topic, encode(x), self._qos, self._retain):
            self.refused += 1

    def on_completed(self):
        """The stream has ended: let the broker have what waits, for 5 s at most, and say good-bye."""
        self.client.drain(DRAIN_MS)
        self.client.close()

    def on_error(self, e):
        """The same; the error is the link's `last_error` from now on."""
        self.on_completed()
        self.client.last_error = repr(e)


class MQTTReader(OutputThing):
    """Emits what is published to `topic` (QoS 1, wildcards allowed), on the thread that calls `wait`.

    `Scheduler(wait=reader.wait)`, or `while True: reader.wait(1000)`. `decode(topic, payload)` makes the event; what it
    refuses by a ValueError is counted as `garbage`. The message is acknowledged when the event has gone through.
    """

    def __init__(self, name, host=None, port=None, topic=None, qos=1, decode=decode, client=None, **options):
        super().__init__()
        self.client = client or Client(host, port, name, **options)
        self.client.on_message = self._on_message
        self.client.subscribe(topic, qos)
        self._decode = decode
        self.garbage = 0
        self.wait = self.client.step

    def _on_message(self, topic, payload, retained):
        try:
            event = self._decode(topic, payload)
        except (ValueError, TypeError):
            self.garbage += 1
            return
        self._dispatch_next(event)

    def close(self):
        """The end of the stream, for everyone behind as well."""
        self.client.close()
        self._dispatch_completed()
