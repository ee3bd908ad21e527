"""The page of `bourn record --web`: what this machine records, where no hub shows it.

GET /, /static/NAME, /api/recordings, /api/recordings/KEY/files, /metrics, /healthz: as the hub's, and behind the same
guard. It runs in a thread and a loop of its own: whoever records does not wait for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bourn.hub.recorder.monitor import Monitor
from bourn.hub.web import recordings
from bourn.hub.web.app import Page, file_answer, load_files, metrics_answer, serve_app, static_route
from bourn.hub.web.guard import Guard
from bourn.hub.web.server import Certificate

CLOSE_S = 3.0  # in which the page is gone


class RecorderPage:
    """A page being served by a thread of its own from the constructor to `close`. OSError: it cannot listen there."""

    def __init__(
        self,
        monitor: Monitor,
        address: tuple[str, int, Certificate | None],
        token: str,
        healthy: Callable[[], bool] = lambda: True,
    ) -> None:
        self._monitor = monitor
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bourn-page", daemon=True)
        self._thread.start()
        try:
            self._page: Page = self._run(_serve(monitor, address, token, healthy))
        except BaseException:
            self._end()
            raise
        self.url = self._page.url

    def close(self) -> None:
        """The port is free when this returns."""
        self._run(self._page.close())
        self._end()
        self._monitor.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CLOSE_S)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()


async def _serve(
    monitor: Monitor, address: tuple[str, int, Certificate | None], token: str, healthy: Callable[[], bool]
) -> Page:
    host, port, certificate = address
    closing = asyncio.Event()
    return await serve_app(make_app(monitor, token, host, healthy), closing, host, port, token, certificate)


def make_app(monitor: Monitor, token: str, host: str, healthy: Callable[[], bool]) -> Starlette:
    """The application; `host` is a name that it answers to besides loopback."""
    files = load_files()

    async def index(request: Request) -> Response:
        return file_answer(files["recorder.html"])

    async def metrics(request: Request) -> Response:
        return await metrics_answer({}, monitor, request)

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok") if healthy() else PlainTextResponse("frames are being lost\n", 503)

    return Starlette(
        routes=[
            Route("/", index),
            static_route(files),
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            *recordings.routes(monitor),
        ],
        middleware=[Middleware(Guard, token=token, hosts=(host,))],
    )
