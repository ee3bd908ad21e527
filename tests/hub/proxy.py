"""A TCP proxy between real programs, that cuts connections and makes them half-open, by seed."""

import contextlib
import random
import socket
import struct
import threading
from typing import Any, Self

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the end is a reset, and what is on its way is gone


class Proxy:
    """Each connection gets a fate: `cut` (reset after some bytes, in the middle of a frame), `mute` (from then on
    nothing goes through, and both sides stay connected), or, once `calm` is called, none."""

    def __init__(self, port: int, seed: int, bytes_before: int = 4000) -> None:
        """In front of a hub at `port` of this machine; fate comes after up to so many bytes."""
        self.fates = {"cut": 0, "mute": 0}
        self._chance = random.Random(seed)
        self._before = bytes_before
        self._target = port
        self._calm = False
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._calm = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            self._reset(end)

    def calm(self) -> None:
        """Connections made from now on work, and so do those whose fate has not come yet."""
        self._calm = True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # it is closed
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # no hub is there
                self._reset(near)
                continue
            with self._lock:
                self._open += [near, far]
                fate: list[Any] = [
                    self._chance.choice(("cut", "cut", "mute")),
                    self._chance.randint(1, self._before),
                    False,
                ]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(one, other, fate), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket, fate: list[Any]) -> None:
        """In a thread for each direction; `fate` (what, bytes before it, whether it has come) is that of both."""
        try:
            while data := one.recv(4096):
                with self._lock:
                    left, befallen = fate[1:]
                    befalls = befallen or (left <= len(data) and not self._calm)
                    if befalls and not befallen:
                        self.fates[fate[0]] += 1
                    fate[1:] = [max(0, left - len(data)), befalls]
                if befalls and fate[0] == "mute":
                    continue  # it is read, so that its sender notices nothing
                if befalls:
                    other.sendall(data[:left])
                    break
                other.sendall(data)
        except OSError:
            pass  # the other direction was cut
        self._reset(one)
        self._reset(other)

    def _reset(self, end: socket.socket) -> None:
        with self._lock:
            if end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                with contextlib.suppress(OSError):  # it is gone already
                    end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
                end.close()
