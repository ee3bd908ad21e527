"""uvicorn as a guest: it runs in the hub's event loop, leaves signals and terminal alone, and goes when it is told.

What of it is adapted, and why:
    capture_signals  the hub handles SIGINT and SIGTERM itself
    main_loop        waits; the original wakes ten times a second to look whether it should stop
    connection_made  the number of connections is bounded
"""

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 64  # a browser opens about six; those beyond are closed at once, before anything of them is read
Certificate = tuple[str, str | None]  # PEM files: the certificate and its key, which may be in the same file

GRACE_S = 0.5  # what answers under way get when the server closes; then their connections are cut
BACKLOG = 64  # connections that wait to be accepted


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # so in uvicorn, too
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()


class Server(uvicorn.Server):
    """Serves `app` on a socket that listens already, from `start` until `close`."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, closing: asyncio.Event, certificate: Certificate | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",  # its warnings are about what clients sent; the guard reports our own errors
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                backlog=BACKLOG,
            )
        )
        if certificate is not None:
            self.config.ssl_certfile, self.config.ssl_keyfile = certificate
        self._listener = listener
        self._closing = closing  # set once, by close(); whoever holds a connection for long waits for it
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        self._ready.set()
        await self._closing.wait()

    async def start(self) -> None:
        """When this returns, requests are answered."""
        self._task = asyncio.create_task(self.serve([self._listener]), name="bourn page")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._closing.set()  # the task ends by itself
            raise
        finally:
            ready.cancel()
        if self._task.done():
            self._listener.close()
            self._task.result()

    async def close(self) -> None:
        """When this returns, and it takes less than a second, nothing of the server is left: port, connection, task."""
        self._closing.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait((self._task,), timeout=GRACE_S)
        if not done:  # a client that does not read: what is buffered for it would be waited for
            self.force_exit = True
            for connection in list(self.server_state.connections):
                connection.transport.abort()
        await self._task


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on that address; port 0 is a free one. OSError if it cannot be (EADDRINUSE: taken)."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart waits for old connections
        listener.bind(address)
        listener.listen(BACKLOG)  # here, not later: two hubs that start together would both have bound the port
    except OSError:
        listener.close()
        raise
    return listener
