"""The connection over TLS: `tls://host:port?cert=hub.pem&key=hub.key`, for sensors on other machines.

Only TLS 1.2 and newer. Beyond loopback whoever connects has to prove the key of its source (`bourn keys`).
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import parse_qs, urlsplit

from bourn.hub.connections import Invitation, MakeLink
from bourn.hub.connections.tcp import ACCEPTS, check_port_free, is_loopback, lengthen_queue

HANDSHAKE_S = 10.0  # in which a peer has to complete the handshake
EXAMPLE = "tls://0.0.0.0:7443?cert=hub.pem&key=hub.key"


class TlsListener:
    """A listening socket of the hub, with a certificate."""

    def __init__(self, server: asyncio.Server, host: str) -> None:
        self._server = server
        port = server.sockets[0].getsockname()[1]
        self.url = f"tls://[{host}]:{port}" if ":" in host else f"tls://{host}:{port}"

    async def invite(self) -> Invitation:
        """The same address for everyone."""
        return Invitation(self.url)

    def close(self) -> None:
        """Let nobody new in."""
        self._server.close()


def open_to_others(url: str) -> bool:
    """True if who connects may be on another machine."""
    return not is_loopback(split_url(url)[0])


def check_free(url: str, insecure: bool) -> None:
    """ValueError when `url` or its certificate is no good, OSError when another program has the address."""
    host, port, cert, key = split_url(url)
    make_context(cert, key)
    check_port_free(host, port)


async def listen(url: str, make_link: MakeLink, insecure: bool) -> TlsListener:
    """Listen at `url`; every connection whose handshake succeeds gets a link."""
    host, port, cert, key = split_url(url)
    server = await asyncio.get_running_loop().create_server(
        make_link, host, port, backlog=ACCEPTS, ssl=make_context(cert, key), ssl_handshake_timeout=HANDSHAKE_S
    )
    lengthen_queue(server)
    return TlsListener(server, host)


def split_url(url: str) -> tuple[str, int, str, str | None]:
    """Host, port, certificate and its key of `tls://host:port?cert=PATH&key=PATH`; ValueError."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
        said = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    except ValueError:
        host, port, said = None, None, {}
    unknown = ", ".join(said.keys() - {"cert", "key"})
    if not host or port is None or unknown:
        raise ValueError(f"an address for TLS looks like {EXAMPLE}, not {url!r}")
    if "cert" not in said:
        raise ValueError(
            f"{url} has no certificate; `bourn certificate NAME` makes one, then add ?cert=hub.pem&key=hub.key to it"
        )
    return host, port, said["cert"][0], said["key"][0] if "key" in said else None


def make_context(cert: str, key: str | None) -> ssl.SSLContext:
    """What serves with that certificate (PEM files); ValueError when it is none, or the key is another's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except ssl.SSLError as e:
        raise ValueError(
            f"{cert} and {key or 'no key file'} are no certificate with its key, in PEM ({e.reason}); "
            "`bourn certificate NAME` makes both"
        ) from e
    except OSError as e:
        raise ValueError(f"the certificate {cert} or its key {key} cannot be read: {e.strerror}") from e
    return context
