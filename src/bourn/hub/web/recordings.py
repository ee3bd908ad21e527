"""What is recorded on this machine: for the page, and as JSON for programs.

GET /api/recordings             {"now", "recordings": [{"key", "name", "state", "disk", "states", "uploads", ...}]};
                                ?after=KEY:NUMBER, for each recording, adds its columns of sound behind that number
GET /api/recordings/KEY/files   {"files", "gaps", "next"}: those that began in a range of time; ?since= and ?until= (an
                                age like 2h, or a time), ?state=, ?limit= (1000), ?after= (what "next" said)
400, 404 {"error": TEXT}        says what is wrong
503                             other answers are being made
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bourn.hub.recorder.catalogue import CatalogueError
from bourn.hub.recorder.monitor import Monitor, UnknownRecording

AT_ONCE = 4  # answers being made: they take threads that others need too


def routes(monitor: Monitor) -> list[Route]:
    """The routes of this group."""
    busy = 0

    async def answered(work: Callable[[], Any]) -> Response:
        nonlocal busy
        if busy >= AT_ONCE:
            return Response(status_code=503, headers={"retry-after": "1"})
        busy += 1
        try:
            body = await asyncio.get_running_loop().run_in_executor(None, lambda: msgspec.json.encode(work()))
        except UnknownRecording as e:
            return _wrong(e, 404)
        except (CatalogueError, sqlite3.Error) as e:
            return _wrong(e, 503)
        except ValueError as e:
            return _wrong(e, 400)
        finally:
            busy -= 1
        return Response(body, media_type="application/json")

    async def recordings(request: Request) -> Response:
        after = {}
        for one in request.query_params.getlist("after"):
            key, _, number = one.rpartition(":")
            if not number.removeprefix("-").isdecimal() or len(number) > 18:
                return _wrong(ValueError(f"after is KEY:NUMBER, not {one!r}"), 400)
            after[key] = int(number)
        return await answered(lambda: monitor.look(after))

    async def files(request: Request) -> Response:
        return await answered(lambda: monitor.files(request.path_params["key"], dict(request.query_params)))

    return [Route("/api/recordings", recordings), Route("/api/recordings/{key}/files", files)]


def _wrong(e: Exception, status: int) -> Response:
    return Response(msgspec.json.encode({"error": str(e)}), status, media_type="application/json")
