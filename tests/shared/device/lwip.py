"""The modules `socket` and `errno` of a firmware whose sockets are lwIP's own (ESP8266, RP2), over those of this port.

Facts, from MicroPython 1.25: extmod/modlwip.c, py/moderrno.c. A warning that such a firmware would print is an error
here. `install()` puts both into `sys.modules`: before anything else is imported.
"""

import errno as real_errno
import io
import select
import socket as real
import sys

POLL, CLOSE = 3, 4  # what a stream is asked by `ioctl`
RD, WR, ERR, HUP, NVAL = 1, 4, 8, 16, 32
NEW, LISTENING, CONNECTING, CONNECTED, ENDED = 0, 1, 2, 3, 4  # states; ENDED: the other side has closed
RESET, CLOSED = -14, -17
SEGMENT = 536  # bytes that come in one piece
SNDBUF = 2 * SEGMENT  # an ESP8266's

ERRNO = (
    "EPERM ENOENT EIO EBADF EAGAIN ENOMEM EACCES EEXIST ENODEV EISDIR EINVAL EOPNOTSUPP EADDRINUSE ECONNABORTED "
    "ECONNRESET ENOBUFS ENOTCONN ETIMEDOUT ECONNREFUSED EHOSTUNREACH EALREADY EINPROGRESS"
)
TCP_NODELAY = 0x40  # lwIP's flags, not the numbers of everybody else
SO_REUSEADDR = 4
SO_BROADCAST = 32


class Module:
    """A module with just these names."""


class Socket(io.IOBase):
    """What lwIP's socket does, by its methods alone: no `fileno`, and it is polled itself."""

    def __init__(self, family=2, kind=1, proto=0, over=None):
        self._s = over or real.socket(real.AF_INET, kind)
        self._stream = kind == 1
        self._limited = self._stream and not over  # what was accepted is the other machine's, in the same test
        self._state = CONNECTED if over else NEW
        self._blocks = True
        self._poller = select_poll()
        self._poller.register(self._s, 0)

    def ioctl(self, request, flags):
        """`poll` asks."""
        if request == CLOSE:
            self.close()
            return 0
        if request != POLL:
            return -real_errno.EINVAL
        if self._state == CLOSED:
            return NVAL
        said = self._look(flags)
        if not self._stream:
            return said | flags & WR
        if self._state == NEW:
            return said & flags | HUP
        if self._state == CONNECTING:
            return 0
        if self._state == ENDED:
            return flags & (RD | WR)
        if self._state == RESET:
            return flags & WR | HUP
        return said & flags

    def _look(self, flags=RD | WR):
        """Ask the real one, and take its state over."""
        self._poller.modify(self._s, flags | WR if self._state == CONNECTING else flags)
        ready = self._poller.poll(0)
        said = ready[0][1] if ready else 0
        if self._state == CONNECTING and said:
            self._state = RESET if said & (ERR | HUP) else CONNECTED
        return said

    def _connecting(self):
        if self._state == CONNECTING:
            self._look()
        return self._state == CONNECTING

    def _check(self):
        if self._state < 0:
            number = real_errno.ECONNRESET if self._state == RESET else real_errno.EBADF
            self._state = CLOSED  # lwIP says what it was once
            raise OSError(number)

    def connect(self, address):
        """As lwIP: it is under way."""
        self._s.setblocking(False)
        try:
            self._s.connect(real_address(address))
        except OSError as e:
            if e.args[0] != real_errno.EINPROGRESS:
                raise
        self._s.setblocking(self._blocks)
        self._state = CONNECTING if self._stream else CONNECTED
        if self._stream:
            raise OSError(real_errno.EINPROGRESS)

    def send(self, data):
        """At most what there is room for; nothing while it is connecting."""
        self._check()
        if self._connecting():
            raise OSError(real_errno.EAGAIN)
        return self._try(self._s.send, data[:SNDBUF] if self._limited else data)

    def recv(self, n):
        """At most one segment."""
        self._check()
        if self._connecting():
            raise OSError(real_errno.EAGAIN)
        data = self._try(self._s.recv, min(n, SEGMENT) if self._limited else n)
        if not data and self._stream:
            self._state = ENDED
        return data

    def readinto(self, buffer):
        """As TLS reads: None where there is nothing yet."""
        try:
            data = self.recv(len(buffer))
        except OSError as e:
            if e.args[0] != real_errno.EAGAIN:
                raise
            return None
        buffer[: len(data)] = data
        return len(data)

    def write(self, data):
        """As TLS writes: None where there is no room."""
        try:
            return self.send(bytes(data))
        except OSError as e:
            if e.args[0] != real_errno.EAGAIN:
                raise
            return None

    def _try(self, what, argument):
        try:
            return what(argument)
        except OSError as e:
            if e.args[0] != real_errno.EAGAIN:
                self._state = CLOSED
            raise

    def sendto(self, data, address):
        """A datagram."""
        return self._s.sendto(data, real_address(address))

    def recvfrom(self, n):
        """A datagram and ("ip", port)."""
        data, address = self._s.recvfrom(n)
        return data, tuple_of(address)

    def bind(self, address):
        """As everywhere."""
        self._s.bind(real_address(address))

    def listen(self, backlog=2):
        """As everywhere."""
        self._s.listen(backlog)
        self._state = LISTENING

    def accept(self):
        """As everywhere."""
        s, address = self._s.accept()
        return Socket(over=s), tuple_of(address)

    def setblocking(self, blocks):
        """As everywhere."""
        self._blocks = blocks
        self._s.setblocking(blocks)

    def setsockopt(self, level, option, value):
        """The level is not looked at."""
        if option == SO_REUSEADDR:
            self._s.setsockopt(real.SOL_SOCKET, real.SO_REUSEADDR, value)
        elif option == TCP_NODELAY:
            self._s.setsockopt(6, 1, value)
        elif option in (7, 8):  # SO_SNDBUF, SO_RCVBUF: a test that makes them small, not a program
            self._s.setsockopt(level, option, value)
        elif option != SO_BROADCAST:
            raise AssertionError("Warning: lwip.setsockopt() not implemented (option %r)" % option)

    def close(self):
        """Twice does no harm."""
        if self._state != CLOSED:
            self._state = CLOSED
            self._s.close()


def getaddrinfo(host, port, family=0, kind=0, proto=0, flags=0):
    """One address, of kind SOCK_STREAM whatever was asked for."""
    if not isinstance(port, int):
        raise TypeError("can't convert str to int")
    if family not in (0, 2) or kind not in (0, 1) or proto or flags:
        raise AssertionError("Warning: unsupported getaddrinfo constraints")
    return [(2, 1, 0, "", tuple_of(real.getaddrinfo(host, port)[0][-1]))]


def tuple_of(address):
    """("ip", port) of a `struct sockaddr`."""
    return ".".join([str(b) for b in address[4:8]]), address[2] << 8 | address[3]


def real_address(address):
    """The other way round; lwIP takes numbers alone."""
    host, port = address
    assert not [c for c in host if c not in "0123456789."], host
    return real.getaddrinfo(host, port)[0][-1]


select_poll = select.poll


def install():
    """From now on `import socket` and `import errno` give those of such a board."""
    module = Module()
    module.__name__ = "socket"
    module.socket = Socket
    module.getaddrinfo = getaddrinfo
    module.AF_INET, module.AF_INET6 = 2, 10
    module.SOCK_STREAM, module.SOCK_DGRAM, module.SOCK_RAW = 1, 2, 3
    module.SOL_SOCKET, module.SO_REUSEADDR, module.SO_BROADCAST = 1, SO_REUSEADDR, SO_BROADCAST
    module.IPPROTO_IP, module.IP_ADD_MEMBERSHIP, module.IP_DROP_MEMBERSHIP = 0, 0x400, 0x401
    module.IPPROTO_TCP, module.TCP_NODELAY = 6, TCP_NODELAY
    sys.modules["socket"] = module
    numbers = Module()
    for name in ERRNO.split():
        setattr(numbers, name, getattr(real_errno, name))
    sys.modules["errno"] = numbers
