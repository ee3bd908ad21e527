"""A stream without events or end."""

from __future__ import annotations

from bourn.thingflow.base import DirectOutputThingMixin, OutputThing


class Never(OutputThing, DirectOutputThingMixin):
    """Emits nothing, and does not end."""

    def _observe(self):
        pass
