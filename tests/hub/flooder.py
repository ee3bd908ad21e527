"""A sensor's process that floods its hub over `shm:` and is flooded: `python flooder.py URL SEED UP DOWN` (bytes).

Both sides write the same stream of bytes, in pieces of their own, and look whether what comes is that. Ends with status
0 when it has written and heard all of it, and says why when it has not.
"""

import random
import select
import socket
import sys
import time

from bourn.device.connections import open_connection

QUIET_S = 10  # nobody pauses a hundredth of that
LONGEST = 40  # bytes of one piece, unless it is as much as there is room for
PERIOD = 251  # the stream repeats itself, and no ring's length is a multiple of that


def stream(at: int, n: int) -> bytes:
    """`n` bytes of what both sides write, from byte `at` on."""
    return bytes([(at + i) % PERIOD for i in range(n)])


def main(url: str, seed: int, up: int, down: int) -> None:
    """Write `up` bytes, and hear `down`."""
    chance = random.Random(seed)
    channel = open_connection(url)
    channel.polled.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least there is: a few messages
    poller = select.poll()
    poller.register(channel.polled, select.POLLIN)
    wrote = heard = 0
    while wrote < up or heard < down:
        poller.modify(channel.polled, channel.interest(wrote < up))
        if not poller.poll(QUIET_S * 1000):
            sys.exit(f"nobody rings: {wrote} of {up} written, {heard} of {down} heard")
        if chance.random() < 0.02:
            time.sleep(chance.random() / 200)
        try:
            said = channel.recv(4096)
            if said != stream(heard, len(said)) or not said:
                sys.exit(f"not what was written, from byte {heard} on")
            heard += len(said)
        except BlockingIOError:
            pass
        try:
            while wrote < up:
                n = min(up - wrote, chance.randint(1, LONGEST) if chance.random() < 0.9 else 1 << 16)
                wrote += channel.send(stream(wrote, n))
        except BlockingIOError:
            pass
    while channel.interest(False) & select.POLLOUT:  # it has taken all, and not told the other side yet
        poller.modify(channel.polled, select.POLLOUT)
        poller.poll(QUIET_S * 1000)
    channel.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
