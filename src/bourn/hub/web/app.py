"""The page as a web application, and its life inside the hub.

GET /             the page
GET /static/NAME  its files
GET /api/status   the snapshot, as JSON; ?points_after=N leaves out the points that the asker has
GET /api/events   the same as server-sent events: "status" with a snapshot whenever something changed, but not
                  more often than every PERIOD_S; and "ping" every PING_S, so that a dead stream shows.
                  The first snapshot has all points of all sensors, later ones those that are new to this stream.
                  A snapshot that is expensive (thousands of sources) comes more seldom: see BUSY.
GET /metrics      the same for Prometheus
GET /api/recordings ...  where recordings are watched: see recordings.py
GET /healthz      "ok", or status 503 while the journal cannot store; the only answer without the token
"""

import asyncio
import contextlib
import importlib.resources
import ipaddress
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import msgspec
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bourn.hub.web.guard import Guard
from bourn.hub.web.server import Certificate, Server, listen

if TYPE_CHECKING:
    from bourn.hub.recorder.monitor import Monitor

PERIOD_S = 0.5  # what the eye can follow; each stream asks for the snapshot this often
PING_S = 5.0  # page.js takes a stream for dead after three of them
MAX_STREAMS = 16  # open pages at once; each costs one snapshot per period
BUSY = 20  # a page may cost the hub one part in so many: after a snapshot that took 50 ms comes a second of pause
SEND_TIMEOUT_S = 20.0  # a page that does not take an event for so long (a sleeping laptop) gives its place back
HEARD_TOLERANCE_MS = 250  # a link was heard anew if the moment moved by more: the two clocks in it jitter

NO_POINTS = (1 << 53) - 1  # a place that no journal reaches

UNHEALTHY = "the journal cannot store\n"
FULL = f"All {MAX_STREAMS} places for open pages are taken: close one, or ask /api/status.\n"

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "parts.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "topology.js": "text/javascript; charset=utf-8",
    "space.js": "text/javascript; charset=utf-8",
    "detail.js": "text/javascript; charset=utf-8",
    "recorder.html": "text/html; charset=utf-8",
    "recordings.js": "text/javascript; charset=utf-8",
    "recordings.css": "text/css; charset=utf-8",
}
_VENDOR = {  # put there by tools/build_hook.py where it could; the page does without them
    "uplot.js": "text/javascript; charset=utf-8",
    "uplot.css": "text/css; charset=utf-8",
}


class Status(Protocol):
    """The hub as the page sees it, until the page is closed; cheap, since it is called in the loop, for each page.

    A new dict each time, of JSON values only. `points` of a sensor holds only what came after `points_after`, and a
    sensor with nothing new since then may be left out; "points_upto" is what to give next time. tests/hub/page_fake.py
    shows the whole shape.
    """

    def __call__(self, points_after: int = 0) -> dict[str, Any]: ...


Healthy = Callable[[], bool]  # whether the journal can store; asked in the loop


class Page:
    """A page being served, until `close`."""

    def __init__(self, server: Server, origin: str, token: str) -> None:
        self._server = server
        self.origin = origin
        # With the token: for the terminal of whoever started the hub, and for nobody else.
        self.url = f"{origin}/?token={quote(token, safe='')}"

    async def close(self) -> None:
        """When this returns, in less than a second, the port is free and every connection is gone."""
        await self._server.close()


async def serve_page(
    status: Status,
    host: str,
    port: int,
    token: str,
    *,
    healthy: Healthy = lambda: True,
    routes: Iterable[Route] = (),
    period_s: float = PERIOD_S,
    certificate: Certificate | None = None,
    monitor: "Monitor | None" = None,
) -> Page:
    """When this returns, the page is there, served by the loop this was called in; signals stay the caller's.

    `routes` are served besides the page's own, and what `monitor` sees of recordings; with a `certificate` all is
    served over TLS. Port 0 is a free one. OSError: it cannot listen there; with errno EADDRINUSE the port is taken.
    """
    closing = asyncio.Event()
    app = make_app(
        status, token, hosts=(host,), closing=closing, healthy=healthy, routes=routes, period_s=period_s,
        monitor=monitor,
    )  # fmt: skip
    return await serve_app(app, closing, host, port, token, certificate)


async def serve_app(
    app: Starlette, closing: asyncio.Event, host: str, port: int, token: str, certificate: Certificate | None = None
) -> Page:
    """When this returns, `app` is served; `closing` is set when that is to end. OSError as of serve_page."""
    listener = listen(host, port)
    server = Server(app, listener, closing, certificate)
    await server.start()
    return Page(server, f"http{'s' if certificate else ''}://{_reachable(host)}:{listener.getsockname()[1]}", token)


def make_app(
    status: Status,
    token: str,
    *,
    hosts: Iterable[str] = (),
    closing: asyncio.Event | None = None,
    healthy: Healthy = lambda: True,
    routes: Iterable[Route] = (),
    period_s: float = PERIOD_S,
    monitor: "Monitor | None" = None,
) -> Starlette:
    """The application: `hosts` are names it answers to besides loopback, `closing` ends its event streams."""
    if not token:
        raise ValueError("the page needs a token that is not empty")
    files = load_files()
    more = list(routes)
    if monitor is not None:
        from bourn.hub.web import recordings

        more += recordings.routes(monitor)
        files["index.html"] = _with(files["index.html"], "recordings")
    streams = _Streams(status, closing or asyncio.Event(), period_s)

    async def index(request: Request) -> Response:
        return file_answer(files["index.html"])

    async def snapshot(request: Request) -> Response:
        after = request.query_params.get("points_after", "0")
        if not after.isdecimal() or len(after) > 16:
            return PlainTextResponse("points_after is a place: a number of the journal's.\n", 400)
        return Response(msgspec.json.encode(status(int(after))), media_type="application/json")

    async def metrics(request: Request) -> Response:
        return await metrics_answer(status(NO_POINTS), monitor, request)

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok") if healthy() else PlainTextResponse(UNHEALTHY, 503)

    return Starlette(
        routes=[
            Route("/", index),
            static_route(files),
            Route("/api/status", snapshot),
            Route("/api/events", streams.open),
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            *more,
        ],
        middleware=[Middleware(Guard, token=token, hosts=tuple(hosts))],
    )


class _Streams:
    """The open event streams, at most MAX_STREAMS."""

    def __init__(self, status: Status, closing: asyncio.Event, period_s: float) -> None:
        self._status = status
        self._closing = closing
        self._period_s = period_s
        self._open = 0

    async def open(self, request: Request) -> Response:
        if self._open >= MAX_STREAMS:
            return PlainTextResponse(FULL, 503, {"retry-after": "10"})
        if request.method == "HEAD":  # only newer releases of sse-starlette know that it has no body
            return Response(media_type="text/event-stream")
        self._open += 1
        return _EventStream(self._events(), self._left)

    def _left(self) -> None:
        self._open -= 1

    async def _events(self) -> AsyncIterator[ServerSentEvent]:
        points_upto = 0
        shown: _Face | None = None
        closing = False
        while not closing:
            closing = self._closing.is_set()  # before the look at the hub: the last event is its last word
            began = time.perf_counter()
            snapshot = self._status(points_upto)
            face = _Face(snapshot)
            if shown is None or face.differs(shown):
                shown = face
                points_upto = snapshot["points_upto"]
                yield ServerSentEvent(msgspec.json.encode(snapshot).decode(), event="status")
            pause = max(self._period_s, BUSY * (time.perf_counter() - began))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), min(pause, PING_S))


class _EventStream(EventSourceResponse):
    def __init__(self, events: AsyncIterator[ServerSentEvent], left: Callable[[], None]) -> None:
        super().__init__(
            events,
            ping=PING_S,
            ping_message_factory=lambda: ServerSentEvent("", event="ping"),
            send_timeout=SEND_TIMEOUT_S,
        )
        self._left = left

    @staticmethod
    async def _listen_for_exit_signal() -> None:
        # The original starts a task that looks twice a second, for as long as the process lives, whether uvicorn got
        # a signal. Here the events end by themselves when the page closes.
        await asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except* SendTimeoutError:  # the page comes back by itself if there is still somebody; the server hangs up
            pass
        finally:
            self._left()


class _Face:
    """What of a snapshot is worth an event: all but the clocks, which the page lets run by itself."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        now = snapshot["now"]
        links = snapshot["links"]
        self._heard = [now - link["seen_ms"] if link["seen_ms"] is not None else 0 for link in links]
        rest = _without(snapshot, "now", "uptime_s")
        rest["links"] = [_without(link, "seen_ms") for link in links]
        rest["sensors"] = [_without(sensor, "points") for sensor in snapshot["sensors"]]
        self._rest = msgspec.json.encode(rest)  # encoded: a snapshot may share parts with the next one

    def differs(self, shown: "_Face") -> bool:
        return self._rest != shown._rest or any(
            abs(mine - theirs) > HEARD_TOLERANCE_MS for mine, theirs in zip(self._heard, shown._heard, strict=True)
        )


def _without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


def load_files() -> dict[str, tuple[bytes, str]]:
    """The page's files, those of the chart library where they are, each with its type."""
    files = {name: (_read(name), media_type) for name, media_type in _FILES.items()}
    for name, media_type in _VENDOR.items():
        with contextlib.suppress(OSError):
            files[name] = (_read(f"vendor/{name}"), media_type)
    if "uplot.js" in files:
        files["index.html"] = _with(files["index.html"], "library")
    return files


def static_route(files: dict[str, tuple[bytes, str]]) -> Route:
    """The files of a page, by their names."""

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        return file_answer(files[name]) if name in files else PlainTextResponse("There is no such file.\n", 404)

    return Route("/static/{name}", static)


async def metrics_answer(told: dict[str, Any], monitor: "Monitor | None", request: Request) -> Response:
    """A snapshot, and what is recorded, for Prometheus."""
    accept = request.headers.get("accept", "")

    def encode() -> tuple[bytes, str]:  # in a thread: the import and the text of thousands of sources take a while
        from bourn.hub.metrics import exposition

        return exposition({**told, **(monitor.look() if monitor else {})}, accept)

    body, content_type = await asyncio.get_running_loop().run_in_executor(None, encode)
    return Response(body, headers={"content-type": content_type})


def _with(page: tuple[bytes, str], what: str) -> tuple[bytes, str]:
    """The page, told that there is such a thing."""
    body, media_type = page
    return body.replace(f'data-{what}="no"'.encode(), f'data-{what}="yes"'.encode()), media_type


def _read(name: str) -> bytes:
    return (importlib.resources.files("bourn.hub.web") / "static" / name).read_bytes()


def file_answer(file: tuple[bytes, str]) -> Response:
    """A file of a page."""
    body, media_type = file
    return Response(body, media_type=media_type)


def _reachable(host: str) -> str:
    """How a browser on this machine spells that host in a URL."""
    try:
        address = ipaddress.ip_address(host or "0.0.0.0")
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else str(address)
