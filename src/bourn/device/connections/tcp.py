"""The connection over TCP: `tcp://host:port`."""

import errno
import socket


def split_url(url: str):
    """("host", port) of `tcp://host:port`; ValueError saying what is wrong with it."""
    if not url.startswith("tcp://"):
        raise ValueError("a hub's URL looks like tcp://127.0.0.1:7007, not %r" % url)
    host, _, port = url[6:].rpartition(":")
    if not host or not port or [c for c in port if c < "0" or c > "9"] or not 0 < int(port) < 65536:
        raise ValueError("a hub's URL looks like tcp://127.0.0.1:7007, not %r" % url)
    return host.strip("[]"), int(port)


def check(url: str) -> str:
    """`url` itself; ValueError when it has not the form tcp://host:port."""
    split_url(url)
    return url


def open_link(url: str):
    """A socket that is connecting to the hub at `url`. OSError."""
    host, port = split_url(url)
    return open_tcp(host, port)


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
