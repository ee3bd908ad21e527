"""Addresses of sockets inside one machine, on both interpreters."""


def unix_socket():
    """A stream socket inside this machine that does not block; ValueError where there is none, as on a board."""
    import socket

    if not hasattr(socket, "AF_UNIX"):
        raise ValueError("this interpreter has no unix sockets (no board has); use tcp://")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.setblocking(False)
    return s


def unix_address(path):
    """What `connect` and `bind` of a unix socket take for `path`; one that begins with a NUL names no file."""
    import socket

    if not hasattr(socket, "sockaddr"):  # MicroPython has that function, because its addresses are struct sockaddr
        return path
    import struct

    return struct.pack("H", socket.AF_UNIX) + path.encode() + (b"" if path[:1] == "\0" else b"\0")
