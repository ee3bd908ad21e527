"""Nobody sees the page or the API without the token, and no name but the hub's own reaches it.

What it stands against: other users and programs of the machine (the token), web sites that guess the port (cookie
with SameSite=Strict), web sites that point their own name at this address (the Host header), a page that is framed or
made to load something from elsewhere (the headers).
"""

import ipaddress
import logging
import secrets
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS = frozenset({"/healthz"})  # answered without a token: they tell nothing but that the hub is there

LOCKED = "This page needs its key: open the URL that the hub printed when it started.\n"
STRANGE_HOST = "This hub does not answer to that name: open the URL that the hub printed when it started.\n"
BROKEN = "The hub could not answer this; the reason is in its log.\n"

_HEADERS = {
    "cache-control": "no-store",  # for the page and its files too: after an update no browser shows the old ones
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

_logger = logging.getLogger(__name__)


class Guard:
    """Lets a request through only with the token and under one of the hub's names; every answer gets the headers.

    The token is taken from the cookie, from `Authorization: Bearer` or from `?token=`. The visit of `/?token=...`
    leaves a cookie and goes on to `/`, so that the token stays neither in the address bar nor in the history.

    What changes something (any method but GET and HEAD) takes the cookie only from the page itself: a cookie does not
    tell ports apart, and what another program serves on this machine counts as the same site.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._token = token.encode()
        self._names = {"localhost"}
        self._any_address = False
        for host in hosts:
            self._allow(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # start and stop of the application; there is no websocket route to protect
            await self._app(scope, receive, send)
            return

        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        answer = self._refusal_or_redirect(Request(scope))
        try:
            await (answer or self._app)(scope, receive, send_guarded)
        except Exception:  # the edge: the server's own log is silent, and the query may hold the token
            _logger.exception("the page could not answer %r", scope["path"])
            if started:
                raise  # half an answer is out: the server cuts the connection
            await PlainTextResponse(BROKEN, 500)(scope, receive, send_guarded)

    def _allow(self, host: str) -> None:
        self._names.add(host.lower())
        if host == "" or (_is_address(host) and ipaddress.ip_address(host).is_unspecified):
            # Bound to every address: a request may name any of them, and the machine. A foreign site that points its
            # own name here still sends that name, never an address.
            self._any_address = True
            machine = socket.gethostname().lower()
            self._names.update((machine, machine.split(".")[0] + ".local"))

    def _refusal_or_redirect(self, request: Request) -> Response | None:
        name, port = _host(request.headers.get("host", ""))
        if not self._is_own(name):
            return PlainTextResponse(STRANGE_HOST, 400)
        if request.url.path in OPEN_PATHS:
            return None
        cookie = f"bourn_{port}"  # cookies do not tell ports apart, and there may be a hub on each
        if not self._has_token(request, cookie):
            headers = {"www-authenticate": 'Bearer realm="bourn"'}
            if request.url.path == "/" and request.headers.get("sec-fetch-site") == "cross-site":
                # Whoever follows the printed URL from another site (a terminal in a browser, a chat) comes here
                # without the new cookie, because it is strict: once more, now from our own address.
                headers["refresh"] = "0; url=/"
            return PlainTextResponse(LOCKED, 401, headers)
        if request.url.path == "/" and "token" in request.query_params:
            answer = RedirectResponse("/", 303)
            secure = request.url.scheme == "https"
            answer.set_cookie(cookie, self._token.decode(), path="/", httponly=True, samesite="strict", secure=secure)
            return answer
        return None

    def _has_token(self, request: Request, cookie: str) -> bool:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        only_reads = request.method in ("GET", "HEAD")
        from_page = request.headers.get("sec-fetch-site") == "same-origin"
        given = (
            request.cookies.get(cookie, "") if only_reads or from_page else "",
            bearer.strip() if scheme.lower() == "bearer" else "",
            request.query_params.get("token", "") if only_reads else "",
        )
        return any(secrets.compare_digest(one.encode(), self._token) for one in given)

    def _is_own(self, name: str) -> bool:
        if name in self._names:
            return True
        return _is_address(name) and (self._any_address or ipaddress.ip_address(name).is_loopback)


def _host(header: str) -> tuple[str, int]:
    """The name (lower case, no brackets; "" if there is none that makes sense) and the port in a Host header."""
    try:
        parts = urlsplit("//" + header)
        if parts.netloc != header or parts.username is not None:
            return "", 0
        return (parts.hostname or "").rstrip("."), parts.port or 80
    except ValueError:
        return "", 0


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
