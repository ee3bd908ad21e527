"""Sockets inside one machine, on both interpreters."""


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


def folder_lock(path):
    """Keep other programs out of the folder `path` until the result is closed; OSError when one is in it.

    None where there is nobody to keep out: a board runs one program.
    """
    import os

    try:
        lock = unix_socket()
    except ValueError:
        return None
    # A name that is no file: the kernel forgets it with the process, and both interpreters respect it.
    _, inode, device = os.stat(path)[:3]
    try:
        lock.bind(unix_address("\0bourn-folder-%d-%d" % (device, inode)))
    except OSError as e:
        lock.close()
        if e.args[0] != 98:  # EADDRINUSE
            return None  # no such names here
        raise OSError(16, "another program uses the outbox %s; give each its own" % path)  # EBUSY
    return lock
