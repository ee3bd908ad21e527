"""Rows to events and back, for the adapters of files and databases."""

from __future__ import annotations

from bourn.thingflow.base import IterableAsOutputThing


class EventRowMapping:
    """Subclasses say how an event becomes a row (a list of values) and comes back."""

    def event_to_row(self, event):
        """The row of `event`."""
        raise NotImplementedError(f"{type(self).__name__}.event_to_row")

    def row_to_event(self, row):
        """The event of `row`."""
        raise NotImplementedError(f"{type(self).__name__}.row_to_event")


class DirectReader(IterableAsOutputThing):
    """Emits the event of the next row of `iterable` whenever it is observed; `_close()` is called at the end."""

    def __init__(self, iterable, mapper, name=None):
        super().__init__(iterable, name)
        self.mapper = mapper

    def _to_event(self, element):
        return self.mapper.row_to_event(element)
