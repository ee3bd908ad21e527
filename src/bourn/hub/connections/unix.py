"""The connection over a unix socket, for programs of this user on this machine: `unix:PATH`.

The file belongs to the hub while it runs: it is made with mode 0600, removed at the end, and one that a killed hub
left behind is recognised (nobody listens there) and replaced.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat

from bourn.hub.connections import Invitation, MakeLink
from bourn.hub.connections.tcp import ACCEPTS, lengthen_queue

LONGEST = 107  # bytes of a path: what the kernel has room for


class UnixListener:
    """A listening unix socket of the hub."""

    def __init__(self, server: asyncio.Server, path: str, url: str) -> None:
        self._server = server
        self._path = path
        self._made = os.stat(path).st_ino
        self.url = url

    async def invite(self) -> Invitation:
        """The same address for everyone."""
        return Invitation(self.url)

    def close(self) -> None:
        """Let nobody new in, and remove the file."""
        self._server.close()
        try:
            if os.stat(self._path).st_ino == self._made:  # another hub's by now, if ours was removed by hand
                os.unlink(self._path)
        except FileNotFoundError:
            return


def path_of(url: str) -> str:
    """The path in `scheme:PATH`; ValueError saying what is wrong with it."""
    scheme, _, path = url.partition(":")
    if not path or "\0" in path:
        raise ValueError(f"a {scheme} URL names a file, like {scheme}:bourn.sock, not {url!r}")
    if len(os.fsencode(path)) > LONGEST:
        raise ValueError(f"a socket's path has at most {LONGEST} bytes; use a shorter one than {path}")
    return path


def check_free(url: str, insecure: bool) -> None:
    """ValueError when `url` names no file, OSError when a hub listens there, or no socket can be made there."""
    path = path_of(url)
    _is_stale(path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "its folder does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "its folder is not writable")


async def listen(url: str, make_link: MakeLink, insecure: bool) -> UnixListener:
    """Listen at `url`; every connection gets a link."""
    path = path_of(url)
    server = await asyncio.get_running_loop().create_unix_server(make_link, sock=bind(path), backlog=ACCEPTS)
    lengthen_queue(server)
    return UnixListener(server, path, url)


def bind(path: str) -> socket.socket:
    """A socket bound to `path`, that only this user can connect to. OSError when a hub listens there."""
    if _is_stale(path):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.bind(path)
        os.chmod(path, 0o600)  # before it listens: until then nobody gets in at all
    except OSError:
        sock.close()
        raise
    return sock


def _is_stale(path: str) -> bool:
    """True if a socket is there and nobody listens; OSError when somebody does, or it is no socket."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is a file of that name that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except BlockingIOError:  # it listens, and is busy
            pass
    raise OSError(errno.EADDRINUSE, "another hub listens there")
