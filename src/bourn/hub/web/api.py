"""What commands and programs may ask a running hub for, besides the page's own snapshot.

Each group of routes lives in a file of its own that offers `routes(hub) -> list[Route]`, and is named here. All of it
is behind the guard; what changes something is asked for with POST or DELETE, which the guard lets through only with
the token in a header or from the page itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from bourn.hub.web import history, quarantine, repositories

if TYPE_CHECKING:
    from bourn.hub.hub import Hub


def routes(hub: Hub) -> list[Route]:
    """Every route of the API."""
    return [*history.routes(hub), *repositories.routes(hub), *quarantine.routes(hub)]
