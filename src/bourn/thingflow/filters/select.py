"""`select` is the other name of `map`."""

from __future__ import annotations

from bourn.thingflow.base import OutputThing, filtermethod
from bourn.thingflow.filters.map import transformed


@filtermethod(OutputThing, alias="map")
def select(this, mapfun):
    """Emit `mapfun(x)` for each event `x`, unless it is None."""
    return transformed(this, "select", mapfun)
