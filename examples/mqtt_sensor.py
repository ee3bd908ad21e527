"""Publishes a sensor to an MQTT broker and hears it back: `python mqtt_sensor.py [HOST [PORT]]`, or `micropython`."""

import sys

from bourn import Scheduler
from bourn.device.mqtt_things import MQTTReader, MQTTWriter

host = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"
port = int(sys.argv[2]) if len(sys.argv) > 2 else 1883


class Counter:
    """Counts its samples."""

    sensor_id = "counter"
    count = 0

    def sample(self):
        """The next number, up to three."""
        self.count += 1
        if self.count > 3:
            raise StopIteration
        return self.count


heard = []
reader = MQTTReader("reader", host, port, "greenhouse/#")
reader.connect(lambda event: heard.append(event.val))
writer = MQTTWriter("writer", host, port, "greenhouse/counter")

for _ in range(50):  # 5 s for the broker to know what the reader wants to hear
    if not reader.client.ready():
        reader.wait(100)

scheduler = Scheduler(wait=writer.wait)  # what could not be sent at once is sent while the device waits
scheduler.schedule_sensor(Counter(), 0.05, writer)
scheduler.run_forever()

for _ in range(20):
    if len(heard) < 3:
        reader.wait(100)
print("sent", writer.client.counters["acked"], "heard", heard)
if not heard:
    print(f"no broker at {host}:{port}: {reader.client.last_error}")
