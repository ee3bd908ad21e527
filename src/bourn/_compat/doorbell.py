"""Wakes a thread that sleeps in `poll` on sockets: one more socket for it to poll."""

import errno
import os
import socket
import sys


class Doorbell:
    """`register(bell.socket)` with the poller; `ring()` from any thread ends its wait; `answer()` when it has ended.

    Where the port has no such socket `socket` is None, and the sleeper has to look for itself now and then.
    """

    def __init__(self):
        self._far = None
        self.socket = None
        try:
            if hasattr(socket, "socketpair"):
                self.socket, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            else:
                # MicroPython's unix port. A name that starts with 0 is in no folder and goes with the socket; connected
                # to itself it takes datagrams from nobody else.
                self.socket = self._far = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                address = socket.AF_UNIX.to_bytes(2, sys.byteorder) + b"\0" + os.urandom(12)
                self.socket.bind(address)
                self.socket.connect(address)
        except (AttributeError, OSError):  # no such family, or no file descriptor left
            self.close()
        if self.socket:
            self.socket.setblocking(False)
            self._far.setblocking(False)

    def ring(self):
        """End the wait that is under way, or else the next one."""
        if self._far:
            try:
                self._far.send(b"!")
            except OSError as e:
                if e.args[0] != errno.EAGAIN:  # full of rings that nobody has answered yet: one more says no more
                    raise

    def answer(self):
        """Nothing rings any more, until the next `ring`."""
        try:
            while self.socket and self.socket.recv(16):
                continue
        except OSError as e:
            if e.args[0] != errno.EAGAIN:
                raise

    def close(self):
        """Give the socket back; nobody may ring any more."""
        for one in (self.socket, self._far):
            if one:
                one.close()
        self.socket = self._far = None
