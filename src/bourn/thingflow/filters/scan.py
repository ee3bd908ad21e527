"""Accumulates: every intermediate result, or only the last."""

from __future__ import annotations

from bourn.operators import accumulate, stateless
from bourn.thingflow.base import OutputThing, filtermethod
from bourn.thingflow.filters.take import last_of
from bourn.thingflow.things import OperatorFilter


@filtermethod(OutputThing, alias="aggregate")
def reduce(this, accumulator, seed=None):
    """At the end emit `accumulator(... accumulator(seed, first) ..., last)`; without a seed begin with the first."""
    return last_of(scanned(this, accumulator, seed))


@filtermethod(OutputThing)
def scan(this, accumulator, seed=None):
    """Emit each intermediate result of `reduce`, unless it is None."""
    return scanned(this, accumulator, seed)


def scanned(this, accumulator, seed):
    """The filter behind both."""
    steps = accumulate.scan(accumulator) if seed is None else accumulate.scan(accumulator, seed)
    return OperatorFilter(this, "map", steps, stateless.where(lambda y: y is not None))
