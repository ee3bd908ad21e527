"""Sends readings from several threads, each with an outbox and a sender of its own, until the hub has them all.

    INTERPRETER senders.py URL THREADS EACH PAUSE_MS LIMIT_S

Thread K is the source `pK`; its readings of the sensor `s` are 0, 1, 2, ... Prints one JSON line: for each thread the
sender's counters, and what its outbox still holds.
"""

import json
import sys
import threading

from bourn.device.sender import Sender
from bourn.spool.ram import RamSpool


def work(sender, each, pause_ms, limit_ms):
    """One thread: on_next waits for the network while the outbox is full."""
    clock = sender.clock
    end = clock.now() + limit_ms
    for i in range(each):
        sender.on_next(("s", 1700000000000 + i, i))
        until = clock.now() + pause_ms
        while clock.now() < until:
            sender.wait(until - clock.now())
    sender.drain(max(1000, end - clock.now()))


def main(url, threads, each, pause_ms, limit_s):
    """Do it; the report."""
    # made here, so that no two threads load the connection's modules at once
    senders = [Sender(url, f"p{k}", RamSpool(50, "block")) for k in range(threads)]
    running = [threading.Thread(target=work, args=(one, each, pause_ms, limit_s * 1000)) for one in senders]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    report = []
    for one in senders:
        report.append({"waiting": one.spool.waiting(), "last_error": one.last_error})
        report[-1].update(one.counters)
        one.close()
    return report


print(json.dumps(main(sys.argv[1], *[int(word) for word in sys.argv[2:]])))
