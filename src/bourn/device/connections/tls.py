"""The connection over TLS: `tls://host:port?ca=ca.pem`, for hubs on other machines. The hub is verified, always.

`ca` is the certificate to trust, a file; where the system knows whom to trust (CPython) it may be left out. `name` is
what the hub's certificate is for, where that is not `host`.
"""

import errno

from bourn.device import open_tcp
from bourn.device.connections.tcp import split_url
from bourn.device.secure import WANTS_READ, Tls

PIECES = 16  # reads at once, of what a sender asks for: more than a hub has to say
_last: list = [None, None]  # the URL that was opened last, and what it trusts: reading certificates takes a board long


def _parts(url):
    base = url.split("?")[0]  # no `partition`: an ESP8266 has none
    query = url[len(base) + 1 :]
    host, port = split_url(base.replace("tls://", "tcp://", 1))
    said = {}
    for part in query.split("&") if query else ():
        name = part.split("=")[0]
        value = part[len(name) + 1 :]
        if name not in ("ca", "name") or not value:
            raise ValueError("%r is no part of a hub's URL like tls://hub.local:7443?ca=ca.pem" % part)
        said[name] = value
    return host, port, said


def check(url):
    """`url` itself; ValueError when it has not the form tls://host:port?ca=FILE, or FILE is no certificate."""
    _, _, said = _parts(url)
    try:
        Tls(**said)
    except OSError as e:
        raise ValueError("%s cannot be used as the certificate to trust: %s" % (said.get("ca"), e))
    return url


def open_link(url):
    """A channel that is connecting to the hub at `url`. OSError."""
    host, port, said = _parts(url)
    if _last[0] != url:
        _last[:] = [url, Tls(**said)]
    return TlsLink(open_tcp(host, port), host, _last[1])


class TlsLink:
    """A channel whose first reads and writes do the handshake, once the socket `s` is connected."""

    def __init__(self, s, host, trusted):
        self._socket = s
        self._host = host
        self._trusted = trusted
        self._secured = None
        self._fileno = s.fileno() if WANTS_READ else -1
        self.polled = self if WANTS_READ else s  # CPython takes the descriptor out of `s`, MicroPython polls `s`

    def fileno(self):
        """The descriptor, as long as it is open."""
        return self._fileno

    def send(self, data):
        """As of a socket. EAGAIN while the handshake is under way: offer the same data again."""
        if self._secured is None:
            self._secured = self._trusted.wrap(self._socket, self._host)
        return self._secured.send(data)

    def recv(self, n):
        """All there is; b"" at the end."""
        data = b""
        for _ in range(PIECES):  # until it says EAGAIN: what TLS has decrypted already is nothing to poll for
            try:
                piece = self._secured.recv(n)
            except OSError as e:
                if data and e.args[0] == errno.EAGAIN:
                    return data
                raise
            if not piece:
                return data
            data += piece
        raise OSError(errno.EINVAL, "it says more than a hub has to say")  # boards know no EMSGSIZE

    def interest(self, writing):
        """What to poll for, once something was sent."""
        return self._secured.interest(writing)

    def close(self):
        """Close the socket as well."""
        if self._secured is None:
            self._socket.close()
        else:
            self._secured.close()
