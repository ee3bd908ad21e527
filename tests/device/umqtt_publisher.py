"""Publishes with umqtt.robust and QoS 1 from several threads: `micropython umqtt_publisher.py PORT N`.

For comparison. umqtt's clients are for one thread, so each thread has its own. Every half second one JSON line says how
many of each thread's calls have returned, that is, were acknowledged, and what ended a thread that has ended.
"""

import _thread
import json
import sys
import time

from umqtt.robust import MQTTClient

THREADS = 4
returned = [0] * THREADS
ended = [""] * THREADS


def work(k, port, each):
    """One thread."""
    client = MQTTClient(f"umqtt{k}", "127.0.0.1", port)
    while True:
        try:
            client.connect()
            break
        except OSError:
            time.sleep(0.02)
    try:
        for i in range(each):
            client.publish(f"umqtt/{k}", json.dumps({"value": i}), qos=1)
            returned[k] = i + 1
        ended[k] = "done"
    except Exception as e:
        ended[k] = repr(e)


def main(port, each):
    for k in range(THREADS):
        _thread.start_new_thread(work, (k, port, each))
    while not all(ended):
        print(json.dumps([returned, ended]))
        time.sleep(0.5)
    print(json.dumps([returned, ended]))


main(int(sys.argv[1]), int(sys.argv[2]))
