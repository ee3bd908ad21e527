"""Dials TLS servers with `bourn.device.secure`: `INTERPRETER tls_dialler.py PIECES...`, JSON in pieces.

{"host": ..., "limit_s": 5, "dials": [{"port": 1, "tls": {...}, "bytes": 0}, ...]}; prints a line of JSON for each: what
came back, or the error. With "bytes" it says so many instead of "hello". At the end, how many descriptors are open more
than at the beginning.
"""

import errno
import gc
import json
import os
import select
import sys
import time

from bourn.device import open_tcp
from bourn.device.secure import Tls


def dial(host, port, tls, limit_s, many=0):
    """What the server says after a "hello", or the error in words."""
    left = b"".join([b"%07d " % n for n in range(many // 8)]) or b"hello"
    channel = socket = None
    try:
        socket = open_tcp(host, port)
        poller = select.poll()
        poller.register(socket, select.POLLOUT)
        poller.poll(1000)  # it is connected
        channel = Tls(**tls).wrap(socket, host)
        poller = select.poll()
        end = time.time() + limit_s
        while time.time() < end:
            try:
                while left:
                    left = left[channel.send(left) :]
                data = channel.recv(100)
                return "end" if not data else data.decode()
            except OSError as e:
                if e.args[0] not in (errno.EAGAIN, errno.ENOTCONN):
                    return "OSError " + str(e)
            poller.register(channel.polled, channel.interest(bool(left)))
            if not poller.poll(1000 * limit_s):
                return "it waits for what does not come"
        return "nothing"
    except (ValueError, OSError) as e:
        return ("OSError " if isinstance(e, OSError) else "ValueError ") + str(e)
    finally:
        if channel:
            channel.close()
        elif socket:
            socket.close()


settings = json.loads("".join(sys.argv[1:]))
dial(settings["host"], 1, {}, 1)  # what the first one loads stays open
before = len(os.listdir("/proc/self/fd"))
for one in settings["dials"]:
    print(json.dumps(dial(settings["host"], one["port"], one["tls"], settings["limit_s"], one.get("bytes", 0))))
gc.collect()
print(len(os.listdir("/proc/self/fd")) - before)
