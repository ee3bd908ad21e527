"""The first event."""

from __future__ import annotations

from bourn.thingflow.base import OutputThing, filtermethod
from bourn.thingflow.filters.take import taken


@filtermethod(OutputThing)
def first(this):
    """Emit the first event, then complete."""
    return taken(this, 1)
