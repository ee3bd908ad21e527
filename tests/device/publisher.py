"""Publishes from several threads until everything is acknowledged: `INTERPRETER publisher.py SETTINGS...`.

One JSON object, in pieces: an argument of more than 255 bytes ends MicroPython's unix port ("uncaught NLR").

{"port": 1883, "threads": 4, "each": 100, "topic": "t", "limit_s": 60, "tls": {...} or null, "options": {...}}; the
payload is `K I`, or "payload" with two %d for them; a %d in the topic is K; "pause_s" is slept after each; after so
many "failures" it gives up. Prints one JSON line with the client's counters when all is acknowledged, or not in time.
"""

import json
import sys
import threading
import time

from bourn.device.mqtt_thread import ThreadClient


def main(settings):
    """Do it; the report."""
    options = settings["options"]
    if settings.get("tls"):
        from bourn.device.secure import Tls

        options["tls"] = Tls(**settings["tls"])
    pause_s = settings.get("pause_s", 0)
    payload = settings.get("payload", "%d %d")
    client = ThreadClient(settings.get("host", "127.0.0.1"), settings["port"], **options)

    def work(k):
        topic = settings["topic"]
        if "%" in topic:
            topic = topic % k
        for i in range(settings["each"]):
            while not client.publish(topic, payload % (k, i)):
                raise RuntimeError("refused, with the policy that waits")
            if pause_s:
                time.sleep(pause_s)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(settings["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    enough = settings.get("failures", 1 << 20)
    drained = False
    end = client.clock.now() + settings["limit_s"] * 1000
    while not drained and client.counters["failures"] < enough and client.clock.now() < end:
        drained = client.drain(50)
    report = {"all": drained, "state": client.state, "last_error": client.last_error}
    client.close()
    report.update(client.counters)
    return report


print(json.dumps(main(json.loads("".join(sys.argv[1:])))))
