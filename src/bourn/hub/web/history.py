"""GET /api/history?source=S&sensor=N&from=MS&to=MS&points=N  what `read_history` gives, as JSON.

`from` and `to` are ms since 1970; without them it is everything the journal has, up to now. Bounded three times: in
points, in what is read for one answer, and in how many are made at once.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bourn.hub.history import BUCKETS, first_time, read_history

if TYPE_CHECKING:
    from bourn.hub.hub import Hub

AT_ONCE = 2  # answers being made; more would only wait for the disk, and for threads that repositories need too
LATEST_MS = 1 << 53


def routes(hub: Hub) -> list[Route]:
    """The one route."""
    journal = hub.journal.path
    busy = 0

    async def history(request: Request) -> Response:
        nonlocal busy
        query = request.query_params
        source, sensor = query.get("source", ""), query.get("sensor", "")
        try:
            start, end = _moment(query.get("from")), _moment(query.get("to"))
            points = int(query.get("points", BUCKETS))
        except ValueError:
            return PlainTextResponse("from, to and points are whole numbers.\n", 400)
        if not source or not sensor or points < 1:
            return PlainTextResponse("source and sensor are needed, and a point or more.\n", 400)
        if busy >= AT_ONCE:
            return PlainTextResponse("The hub makes other charts just now; ask again.\n", 503, {"retry-after": "1"})

        def answer() -> bytes:
            begin = first_time(journal) if start is None else start
            until = int(time.time() * 1000) + 1 if end is None else end
            begin = until if begin is None else min(begin, until)
            return msgspec.json.encode(read_history(journal, source, sensor, begin, until, points))

        busy += 1
        try:
            body = await asyncio.get_running_loop().run_in_executor(None, answer)
        except sqlite3.Error as e:
            return PlainTextResponse(f"The journal cannot be read: {e}\n", 503)
        finally:
            busy -= 1
        return Response(body, media_type="application/json")

    return [Route("/api/history", history)]


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    moment = int(text)
    if abs(moment) > LATEST_MS:
        raise ValueError("no time of this world")
    return moment
