"""MQTT in a flow: a sink that publishes events."""

import json

from bourn._compat import const
from bourn.device.mqtt import Client

_DRAIN_MS = const(5000)  # at the end of a stream, for what the broker has not acknowledged


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


class MQTTWriter:
    """Publishes every event to `topic` (QoS 1) at the broker, as the client `name`; never blocks or raises for a link.

    Let the scheduler wait with it, `Scheduler(wait=writer.wait)`, so that what could not be sent at once is sent while
    the device waits. Options are those of `Client`; its `policy` is "drop_oldest" here. `client` may be one that
    several things share, or a ThreadClient, which needs no scheduler. What was dropped stands in `client.counters`.
    """

    def __init__(
        self, name, host=None, port=None, topic=None, qos=1, retain=False, client=None, policy="drop_oldest", **options
    ):
        self.client = client or Client(host, port, name, policy=policy, **options)
        self.topic = topic
        self.qos = qos
        self.retain = retain
        self.refused = 0  # events that the policy did not take
        self.wait = self.client.step

    def on_next(self, x):
        """Publish one event. ValueError or TypeError when it is no JSON; no memory for it is no room in the queue."""
        try:
            if self.client.publish(self.topic, encode(x), self.qos, self.retain):
                return
        except MemoryError:
            pass  # counted here
        self.refused += 1

    def on_completed(self, e=None):
        """The stream has ended: let the broker have what waits, for 5 s at most, and say good-bye.

        As `on_error` the same; the error is the link's `last_error` from now on.
        """
        self.client.drain(_DRAIN_MS)
        self.client.close()
        if e:
            self.client.last_error = repr(e)

    on_error = on_completed
