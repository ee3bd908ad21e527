"""MQTT in a flow: a source of events that were published."""

import json

from bourn.device.mqtt import Client
from bourn.things import OutputThing, SensorEvent


def decode(topic, payload):
    """The SensorEvent that `encode` has made JSON of. ValueError for anything else."""
    values = json.loads(payload)
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError("no [sensor_id, ts, val]")
    return SensorEvent(*values)


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
