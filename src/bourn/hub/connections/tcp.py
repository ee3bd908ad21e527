"""The connection over TCP: `tcp://host:port`, port 0 for a free one."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from urllib.parse import urlsplit

from bourn.hub.connections import Invitation, MakeLink

BACKLOG = 1024  # connections that wait for being accepted
ACCEPTS = 8  # of them at a time: until a link is made and counted, its descriptor is one of the hub's reserve


class TcpListener:
    """A listening socket of the hub."""

    def __init__(self, server: asyncio.Server, host: str) -> None:
        self._server = server
        port = server.sockets[0].getsockname()[1]
        self.url = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    async def invite(self) -> Invitation:
        """The same address for everyone."""
        return Invitation(self.url)

    def close(self) -> None:
        """Let nobody new in."""
        self._server.close()


def is_loopback(host: str) -> bool:
    """True if `host` can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_free(url: str, insecure: bool) -> None:
    """ValueError when `url` is no address to listen at, OSError when another program has it."""
    check_port_free(*_address(url, insecure))


def check_port_free(host: str, port: int) -> None:
    """OSError when another program listens there, or `host` is not this machine."""
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
            probe.listen()  # an address may be bound twice as long as nobody listens


async def listen(url: str, make_link: MakeLink, insecure: bool) -> TcpListener:
    """Listen at `url`; every connection gets a link.

    Beyond loopback only with `insecure`, for frames are not encrypted.
    """
    host, port = _address(url, insecure)
    server = await asyncio.get_running_loop().create_server(make_link, host, port, backlog=ACCEPTS)
    lengthen_queue(server)
    return TcpListener(server, host)


def lengthen_queue(server: asyncio.Server) -> None:
    """Let BACKLOG connections wait, although no more than ACCEPTS are accepted at a time: asyncio has one number."""
    for listening in server.sockets:
        with socket.socket(listening.family, listening.type, fileno=os.dup(listening.fileno())) as same:
            same.listen(BACKLOG)


def _address(url: str, insecure: bool) -> tuple[str, int]:
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
    return host, port
