"""The connection over a unix socket, between programs of one machine: `unix:PATH`."""

import errno

from bourn._compat.sockets import unix_address, unix_socket

LONGEST = 107  # bytes of a path: what the kernel has room for


def path_of(url: str) -> str:
    """The path in `scheme:PATH`; ValueError saying what is wrong with it."""
    scheme = url.split(":", 1)[0]
    path = url[len(scheme) + 1 :]
    if not path or "\0" in path:
        raise ValueError("a %s URL names a file, like %s:bourn.sock, not %r" % (scheme, scheme, url))
    if len(path.encode()) > LONGEST:
        raise ValueError("a socket's path has at most %d bytes; use a shorter one than %s" % (LONGEST, path))
    return path


def check(url: str) -> str:
    """`url` itself; ValueError when it names no file, or this interpreter has no unix sockets."""
    path_of(url)
    unix_socket().close()
    return url


def open_link(url: str):
    """A socket that is connected to the hub at `url`. OSError."""
    s = unix_socket()
    try:
        s.connect(unix_address(path_of(url)))
    except OSError as e:
        if e.args[0] != errno.EINPROGRESS:
            s.close()
            raise
    return s
