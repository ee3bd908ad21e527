"""The connection over TCP: `tcp://host:port`, port 0 for a free one."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

BACKLOG = 1024  # connections that wait for being accepted


class TcpListener:
    """A listening socket of the hub."""

    def __init__(self, server: asyncio.Server, host: str) -> None:
        self._server = server
        port = server.sockets[0].getsockname()[1]
        self.url = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    def close(self) -> None:
        """Let nobody new in."""
        self._server.close()


def is_loopback(host: str) -> bool:
    """True if `host` can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def listen_tcp(url: str, make_link: Callable[[], asyncio.Protocol], insecure: bool) -> TcpListener:
    """Listen at `url`; every connection gets a link.

    Beyond loopback only with `insecure`, for frames are not encrypted.
    """
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None:
        raise ValueError(f"a TCP address looks like tcp://127.0.0.1:7007 (port 0: a free one), not {url!r}")
    if not insecure and not is_loopback(host):
        raise ValueError(
            f"{host} can be reached by others, and this connection neither encrypts nor asks for a key; "
            "listen on 127.0.0.1, or say --insecure if the network is yours alone"
        )
    server = await asyncio.get_running_loop().create_server(make_link, host, port, backlog=BACKLOG)
    return TcpListener(server, host)
