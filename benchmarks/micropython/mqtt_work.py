"""Publishes with QoS 1 on MicroPython: `mqtt_work.py WHAT PORT MESSAGES`; prints how many the broker acknowledged, and
the seconds that took, as soon as all are there, and before that a line for each that a peer's call has returned for.
"""

import sys
import time

TOPIC = "bench/t"
PAYLOAD = b"x" * 40


def one_at_a_time(port, n):
    """Ours without threads, each message acknowledged before the next."""
    from bourn.device.mqtt import Client

    client = connected(Client("127.0.0.1", port, window=1))
    began = time.time()
    for _ in range(n):
        client.publish(TOPIC, PAYLOAD)
        while client.waiting():
            client.step(1000)
    return client, began


def window(port, n):
    """Ours without threads, 32 on their way."""
    from bourn.device.mqtt import Client

    client = connected(Client("127.0.0.1", port, window=32))
    began = time.time()
    for _ in range(n):
        while not client.publish(TOPIC, PAYLOAD):
            client.step(1000)
    while client.waiting():
        client.step(1000)
    return client, began


def threads(port, n):
    """Ours, four threads with one client."""
    import threading

    from bourn.device.mqtt_thread import ThreadClient

    client = ThreadClient("127.0.0.1", port)
    while not client.ready():
        time.sleep(0.01)

    def work():
        for _ in range(n // 4):
            client.publish(TOPIC, PAYLOAD)

    began = time.time()
    four = [threading.Thread(target=work) for _ in range(4)]
    for thread in four:
        thread.start()
    for thread in four:
        thread.join()
    while not client.drain(1000):
        pass
    return client, began


def paced(port, n):
    """Ours, a message every 20 ms; says when some are through."""
    from bourn.device.mqtt import Client

    client = connected(Client("127.0.0.1", port, queue=n))
    began = time.time()
    for i in range(n):
        client.publish(TOPIC, PAYLOAD)
        print("returned", i + 1)
        until = client.clock.now() + 20
        while client.clock.now() < until:
            client.step(until - client.clock.now())
    while client.waiting():
        client.step(1000)
    print("links", client.counters["links"])
    return client, began


def connected(client):
    """The client, once it is."""
    while not client.ready():
        client.step(1000)
    return client


def peer(module, port, n):
    """umqtt's simple or robust client; it has a call that returns when the broker has acknowledged."""
    client = __import__("umqtt." + module, None, None, ["x"]).MQTTClient("bench", "127.0.0.1", port)
    client.connect()
    began = time.time()
    for i in range(n):
        client.publish(TOPIC, PAYLOAD, qos=1)
        print("returned", i + 1)
    return n, time.time() - began


def bare(window, port, n):
    """No client: for every four bytes that come, which are an ack, another of the packets made beforehand is sent.

    What this broker and this machine allow an interpreter that blocks in `recv` and does nothing else.
    """
    import socket

    s = socket.socket()
    s.setsockopt(6, 1, 1)  # TCP_NODELAY
    s.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    s.write(b"\x10\x10\0\4MQTT\4\2\0\0\0\4bare")  # CONNECT, clean, no keep-alive
    assert s.read(4) == b"\x20\2\0\0"
    head = bytes((0x32, 4 + len(TOPIC) + len(PAYLOAD), 0, len(TOPIC))) + TOPIC.encode()
    packets = b"".join([head + bytes((0, 1 + i)) + PAYLOAD for i in range(window)])
    size = len(packets) // window
    began = time.time()
    s.send(packets)
    sent, acked = window, 0
    while acked < n:
        acks = len(s.recv(512)) // 4
        acked += acks
        acks = min(acks, n - sent)
        if acks:
            s.send(packets[: acks * size])
            sent += acks
    took = time.time() - began
    s.close()
    return acked, took


def main(what, port, n):
    """Do it; the line that tells."""
    if what in ("simple", "robust"):
        done, took = peer(what, port, n)
    elif what in ("bare1", "bare32"):
        done, took = bare(int(what[4:]), port, n)
    else:
        client, began = {"one": one_at_a_time, "window": window, "threads": threads, "paced": paced}[what](port, n)
        took = time.time() - began
        done = client.counters["acked"]
        client.close()
    print("done", done, took)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
