"""Transforms each event; what becomes None is dropped."""

from __future__ import annotations

from bourn.operators import stateless
from bourn.thingflow.base import OutputThing, filtermethod
from bourn.thingflow.things import OperatorFilter


def transformed(this, name, function):
    """A filter that emits `function(x)` unless it is None."""
    return OperatorFilter(this, name, stateless.map(function), stateless.where(lambda y: y is not None))


@filtermethod(OutputThing, alias="select")
def map(this, mapfun):
    """Emit `mapfun(x)` for each event `x`, unless it is None."""
    return transformed(this, "map", mapfun)
