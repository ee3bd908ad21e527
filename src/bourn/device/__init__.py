"""What runs on a board, and on anything larger: sensors, logs, senders; here, how each of those opens its link."""


def open_tcp(host: str, port: int):
    """A socket that is connecting to `host`; the name look-up blocks, the rest does not. OSError."""
    import errno
    import socket  # not above: a board without a network has none

    try:
        info = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    except OSError:  # whose number only its port knows: -2, -202
        raise OSError("no such host")
    s = socket.socket(info[0], socket.SOCK_STREAM)
    s.setblocking(False)
    try:
        # IPPROTO_TCP (6): a small frame must not wait for an ack of the last one. lwIP has a number of its own.
        s.setsockopt(6, getattr(socket, "TCP_NODELAY", 1), 1)
        s.connect(info[-1])
    except OSError as e:
        if e.args[0] != errno.EINPROGRESS:
            s.close()
            raise
    return s
