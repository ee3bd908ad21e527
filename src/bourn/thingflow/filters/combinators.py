"""Combines thunks: one after the other, side by side, or as a spur."""

from __future__ import annotations

from bourn.thingflow.base import OutputThing, filtermethod
from bourn.thingflow.thunks import connect_sequence, connect_thunk, make_thunk


def compose(*thunks):
    """A thunk that connects one after the other: `compose(skip(2), map(str))`."""
    return make_thunk(lambda this: connect_sequence(this, thunks))


def parallel(*connectees):
    """A thunk that connects each to the thing before it, which is also what comes out."""

    def apply(this):
        for one in connectees:
            connect_thunk(this, one)
        return this

    return make_thunk(apply)


@filtermethod(OutputThing)
def passthrough(this, spur):
    """Connect `spur` beside the chain, which goes on from where it was."""
    connect_thunk(this, spur)
    return this
