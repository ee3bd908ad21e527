"""GET, POST and DELETE /api/repositories: what takes the readings, changed while the hub runs.

GET                          {"repositories": [what each does, and those that are only remembered]}
POST {"url", "from"}         adds one; "from" is "now", "oldest" or a place, and may be left out. Answers with what it
                             does, or with null where the URL is the journal's own file
DELETE ?url=URL&forget=true  removes one, and with `forget` its cursor; {"removed": true}, or false while it is still
                             in the middle of something
400 {"error": TEXT} says what cannot be, and what to do. Opening and stopping happen beside the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bourn.hub.repositories.address import without_secrets

if TYPE_CHECKING:
    from bourn.hub.hub import Hub

MAX_BODY = 16_384  # bytes of a request: a URL and a word
_logger = logging.getLogger(__name__)


class _New(msgspec.Struct, forbid_unknown_fields=True):
    """What a POST holds."""

    url: str
    start: int | str | None = msgspec.field(default=None, name="from")


def routes(hub: Hub) -> list[Route]:
    """The routes of this group."""
    roster = hub.roster

    async def listed(request: Request) -> Response:
        return _json({"repositories": roster.rows()})

    async def added(request: Request) -> Response:
        new = msgspec.json.decode(await _body(request), type=_New)
        if isinstance(new.start, str) and new.start not in ("now", "oldest"):
            raise ValueError(f"from {new.start!r} is neither now nor oldest nor a place, which is a number")
        driver = await asyncio.to_thread(roster.add_url, new.url, new.start, keep=True)
        if driver is not None:
            _logger.info("repository %s was added", driver.repository.url)
        return _json(None if driver is None else driver.status())

    async def removed(request: Request) -> Response:
        url = request.query_params.get("url", "")
        forget = request.query_params.get("forget", "") == "true"
        gone = await asyncio.to_thread(roster.remove, url, forget)
        _logger.info("repository %s was removed", without_secrets(url))
        return _json({"removed": gone})

    return [
        Route("/api/repositories", listed, methods=["GET"]),
        Route("/api/repositories", _told(added), methods=["POST"]),
        Route("/api/repositories", _told(removed), methods=["DELETE"]),
    ]


def _told(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Whatever is wrong with the request becomes an answer."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ValueError as e:  # msgspec's errors are ValueErrors
            return _json({"error": str(e)}, 400)
        except OSError as e:
            known = f"{e.filename} cannot be used: {e.strerror}; choose another, or mend its permissions"
            return _json({"error": known if e.filename else str(e)}, 400)

    return answered


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise ValueError(f"a request of more than {MAX_BODY} bytes; it holds a URL and where to begin")
    return body


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
