"""Opens a TCP connection without waiting for it: what every client here begins with."""

import errno
import socket


def open_tcp(host: str, port: int):
    """A socket that is connecting to `host`; the name look-up blocks, the rest does not. OSError."""
    info = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    s = socket.socket(info[0], socket.SOCK_STREAM)
    s.setblocking(False)
    try:
        s.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY: a small frame must not wait for an ack of the last one
        s.connect(info[-1])
    except OSError as e:
        if e.args[0] != errno.EINPROGRESS:
            s.close()
            raise
    return s
