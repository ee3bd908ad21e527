"""A crowd of senders in one process: `python crowd.py PORT CONNECTIONS SECONDS` opens them all, says "ready", and after
a line on standard input each sends one reading a second; then one JSON line with how long the acks took.

A real client each (HELLO, one DATA frame a second, cumulative acks), without the outbox.
"""

import heapq
import json
import select
import socket
import sys
import time

from bourn import wire

EPOCH = "00000000deadbeef"
PATIENCE_S = 30.0  # for the last acks


class Client:
    """One connection."""

    __slots__ = ("acked", "rest", "sent_at", "seq", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.seq = self.acked = 0
        self.sent_at: dict[int, float] = {}

    def send(self, now: float) -> None:
        self.seq += 1
        self.sent_at[self.seq] = now
        self.socket.send(wire.encode(wire.DATA, self.seq, 1_700_000_000_000, [["c", 0, self.seq]]))

    def frames(self) -> list[tuple[int, bytes]]:
        """What the hub said."""
        decoder = wire.Decoder()
        got = decoder.feed(self.rest + self.socket.recv(65536))
        self.rest = decoder.rest
        return got


def connect(port: int, connections: int) -> dict[int, Client]:
    """All of them, greeted."""
    clients: dict[int, Client] = {}
    for i in range(connections):
        client = Client(port)
        client.socket.sendall(wire.encode(wire.HELLO, f"c{i}", EPOCH, 1, {"runtime": "crowd"}))
        clients[client.socket.fileno()] = client
        if i % 200 == 199 or i == connections - 1:
            for one in list(clients.values())[-200:]:
                while not one.seq:
                    kinds = [kind for kind, _ in one.frames()]
                    if wire.REFUSE in kinds:
                        raise SystemExit("a connection was refused")
                    if wire.WELCOME in kinds:
                        break
    for client in clients.values():
        client.socket.setblocking(False)
    return clients


def run(clients: dict[int, Client], seconds: float) -> list[float]:
    """One reading a second from each, evenly spread; how long each ack took."""
    poller = select.epoll(len(clients))
    for number in clients:
        poller.register(number, select.EPOLLIN)
    began = time.monotonic()
    due = [(began + i / len(clients), number) for i, number in enumerate(clients)]
    heapq.heapify(due)
    latencies: list[float] = []
    end = began + seconds
    waiting = 0
    while due or waiting:
        now = time.monotonic()
        if now > end + PATIENCE_S:
            break
        while due and due[0][0] <= now:
            at, number = heapq.heappop(due)
            clients[number].send(at)  # from when it should have gone: a late sender must not flatter the hub
            waiting += 1
            if at + 1 < end:
                heapq.heappush(due, (at + 1, number))
        for number, _ in poller.poll(max(0, min(0.05, due[0][0] - now if due else 0.05)), 1000):
            client = clients[number]
            now = time.monotonic()
            for kind, body in client.frames():
                assert kind == wire.ACK, (kind, body)
                for seq in range(client.acked + 1, (last := json.loads(body)[1]) + 1):
                    latencies.append(now - client.sent_at.pop(seq))
                    waiting -= 1
                client.acked = last
    return latencies


def main(port: int, connections: int, seconds: float) -> None:
    """Connect, wait for the word, send, tell."""
    clients = connect(port, connections)
    print("ready", flush=True)
    sys.stdin.readline()
    latencies = sorted(run(clients, seconds))
    sent = sum(client.seq for client in clients.values())
    at = {f"p{p}_ms": round(latencies[min(len(latencies) - 1, len(latencies) * p // 100)] * 1000, 1) for p in (50, 99)}
    print(
        json.dumps({"sent": sent, "acked": len(latencies), **at, "max_ms": round(latencies[-1] * 1000, 1)}), flush=True
    )
    sys.stdin.readline()


if __name__ == "__main__":
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
