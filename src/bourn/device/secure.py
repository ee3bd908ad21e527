"""TLS for a client's socket: the server is verified, by certificate and by name, or nothing is sent.

There is no switch to turn the verification off. An interpreter that can't do it is refused by an ImportError.
"""

import errno
import select

from bourn._compat.tls_module import tls

# CPython says what a channel waits for; MicroPython's handshake always waits for the other side.
WANTS_READ = getattr(tls, "SSLWantReadError", None)
CHUNK_BYTES = 4096  # of one write, which may have to be repeated with the very same bytes


def ders(source) -> list:
    """The DER of every object in `source`: PEM or DER bytes, or the path of a file with them. OSError, ValueError."""
    data = source
    if isinstance(source, str):
        with open(source, "rb") as file:
            data = file.read()
    if b"-----BEGIN" not in data:
        return [data]
    from binascii import a2b_base64

    found = []
    lines: list = []
    for line in data.split(b"\n"):
        line = line.strip()
        if line.startswith(b"-----BEGIN"):
            lines = []
        elif line.startswith(b"-----END"):
            if lines and not line.endswith(b"PARAMETERS-----"):  # of a curve, before the key
                found.append(a2b_base64(b"".join(lines)))
            lines = []
        else:
            lines.append(line)
    if not found:
        raise ValueError("there is no whole certificate or key in %s" % (source if data is not source else "the PEM"))
    return found


class Tls:
    """What a client trusts, and who it is. `ca` is PEM or DER as bytes, or the path of such a file.

    It may be left out where the system knows whom to trust (CPython). `name` is what the server's certificate has to be
    for, where that is not the host that was asked for. `cert` and `key` (paths of PEM files, or of one with both) are
    for servers that want to know who comes. ValueError or OSError where they are no good. A board's clock must be set:
    certificates have dates.
    """

    def __init__(self, ca=None, cert=None, key=None, name=None) -> None:
        self._name = name
        self._context = context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED
        if WANTS_READ:
            if ca is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(cadata=b"".join(ders(ca)))
            if cert:
                context.load_cert_chain(cert, key)
        else:
            if ca is None:
                raise ValueError("this interpreter trusts nobody by itself: give `ca`, the certificate to trust")
            for der in ders(ca):
                context.load_verify_locations(der)
            if cert:
                context.load_cert_chain(ders(cert)[0], ders(key or cert)[-1])

    def wrap(self, s, host: str):
        """A channel over the socket `s`, which blocks nobody; its first reads do the handshake.

        OSError where nobody has answered `s`: `s` is as it was.
        """
        if WANTS_READ:  # CPython's would take the descriptor first
            import os
            import socket

            number = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                raise OSError(number, os.strerror(number))
        return Channel(
            self._context.wrap_socket(s, server_hostname=self._name or host, do_handshake_on_connect=False), s
        )


class Channel:
    """Like a socket that does not block: OSError with EAGAIN when it would."""

    def __init__(self, secured, s) -> None:
        self._secured = secured
        self._socket = s
        self.polled = secured if WANTS_READ else s  # CPython has taken the descriptor out of `s`
        self._chunk = b""  # offered to `send` and not taken yet
        self._reading = True  # what `send` waits for is something to read

    def recv(self, n: int) -> bytes:
        """At most `n` bytes; b"" at the end."""
        return self._do(self._secured.read, n)

    def send(self, data) -> int:
        """Takes some of `data`, and says how much."""
        if not self._chunk:
            self._chunk = bytes(data[:CHUNK_BYTES])
        n = self._do(self._secured.write, self._chunk)
        self._chunk = self._chunk[n:]  # it takes all of it, but does not say so
        self._reading = False
        return n

    def _do(self, what, argument):
        try:
            done = what(argument)
        except OSError as e:
            if not WANTS_READ or not isinstance(e, (WANTS_READ, tls.SSLWantWriteError)):
                raise
            self._reading = isinstance(e, WANTS_READ)
            done = None
        except ValueError as e:  # MicroPython's word for a certificate that is no good
            raise OSError(errno.ECONNREFUSED, "TLS: " + str(e).strip())
        if done is None:
            raise OSError(errno.EAGAIN, "not yet")
        return done

    def interest(self, writing: bool) -> int:
        """What to poll the socket for."""
        return select.POLLIN | (select.POLLOUT if writing and not self._reading else 0)

    def close(self) -> None:
        """Close the socket as well."""
        self._secured.close()
        self._socket.close()
