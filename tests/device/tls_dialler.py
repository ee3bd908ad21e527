"""Dials TLS servers with `bourn.device.secure`: `INTERPRETER tls_dialler.py PIECES...`, JSON in pieces.

{"host": ..., "limit_s": 5, "dials": [{"port": 1, "tls": {...}}, ...]}; prints a line of JSON for each: what came back,
or the error.
"""

import errno
import json
import sys
import time

from bourn.device.dial import open_tcp
from bourn.device.secure import Tls


def dial(host, port, tls, limit_s):
    """What the server says after a "hello", or the error in words."""
    channel = socket = None
    try:
        socket = open_tcp(host, port)
        channel = Tls(**tls).wrap(socket, host)
        end = time.time() + limit_s
        said = False
        while time.time() < end:
            try:
                if not said:
                    said = channel.send(b"hello") == 5
                data = channel.recv(100)
                return "end" if not data else data.decode()
            except OSError as e:
                if e.args[0] not in (errno.EAGAIN, errno.ENOTCONN):
                    return "OSError " + str(e)
            time.sleep(0.005)
        return "nothing"
    except (ValueError, OSError) as e:
        return ("OSError " if isinstance(e, OSError) else "ValueError ") + str(e)
    finally:
        if channel:
            channel.close()
        elif socket:
            socket.close()


settings = json.loads("".join(sys.argv[1:]))
for one in settings["dials"]:
    print(json.dumps(dial(settings["host"], one["port"], one["tls"], settings["limit_s"])))
