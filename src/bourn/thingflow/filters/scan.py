"""Accumulates: every intermediate result, or only the last."""

from __future__ import annotations

from bourn.thingflow.base import OutputThing, filtermethod
from bourn.thingflow.filters.map import transformed
from bourn.thingflow.filters.take import last_of


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
    begun = seed is not None
    total = seed

    def accumulate(x):
        nonlocal begun, total
        total = accumulator(total, x) if begun else x
        begun = True
        return total

    return transformed(this, "map", accumulate)
