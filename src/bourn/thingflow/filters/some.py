"""Whether there is such an event."""

from __future__ import annotations

from bourn.operators import stateless
from bourn.thingflow.base import FunctionFilter, OutputThing, filtermethod
from bourn.thingflow.things import OperatorFilter


@filtermethod(OutputThing)
def some(this, predicate=None):
    """Emit True and complete at the first event for which `predicate(x)` is true; False if the stream ends before."""

    def answer(self, found):
        self.disconnect_from_upstream()
        self._dispatch_next(found)
        self._dispatch_completed()

    if predicate:
        this = OperatorFilter(this, "where", stateless.where(predicate))
    return FunctionFilter(
        this,
        on_next=lambda self, x: answer(self, True),
        on_completed=lambda self: answer(self, False),
        on_error=lambda self, e: answer(self, False),
        name="some",
    )
