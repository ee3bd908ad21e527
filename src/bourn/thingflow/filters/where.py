"""Lets pass the events for which a predicate is true."""

from __future__ import annotations

from bourn.operators import stateless
from bourn.thingflow.base import OutputThing, filtermethod
from bourn.thingflow.things import OperatorFilter


@filtermethod(OutputThing, alias="filter")
def where(this, predicate):
    """Emit those events for which `predicate(x)` is true."""
    return OperatorFilter(this, "where", stateless.where(predicate))
