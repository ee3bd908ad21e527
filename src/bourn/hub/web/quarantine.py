"""GET and DELETE /api/quarantine: readings that could not be stored.

GET                  {"quarantine": [{"pos", "id", "at", "reason", "raw"}]}, oldest first
DELETE ?upto=PLACE   removes those up to a place, or all, with the next commit; {"dropped": how many}
400 {"error": TEXT}  says what is wrong
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bourn.spool.stored import read_quarantine

if TYPE_CHECKING:
    from bourn.hub.hub import Hub


def routes(hub: Hub) -> list[Route]:
    """The routes of this group."""

    async def listed(request: Request) -> Response:
        found = await asyncio.to_thread(read_quarantine, hub.journal.path)
        return _json({"quarantine": [one._asdict() for one in found]})

    async def dropped(request: Request) -> Response:
        upto = request.query_params.get("upto")
        if upto is not None and not upto.isdecimal():
            return _json({"error": f"upto is a place, which is a number, not {upto!r}"}, 400)
        return _json({"dropped": hub.journal.drop_quarantine(None if upto is None else int(upto))})

    return [
        Route("/api/quarantine", listed, methods=["GET"]),
        Route("/api/quarantine", dropped, methods=["DELETE"]),
    ]


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
