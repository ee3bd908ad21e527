"""Events as JSON text, and back."""

from __future__ import annotations

import json

from bourn.operators import stateless
from bourn.thingflow.base import OutputThing, filtermethod
from bourn.thingflow.things import OperatorFilter


@filtermethod(OutputThing)
def to_json(this):
    """Emit each event as JSON text; a SensorEvent becomes an array."""
    return OperatorFilter(this, "to_json", stateless.map(json.dumps))


@filtermethod(OutputThing)
def from_json(this, constructor=None):
    """Emit what the JSON text says; with a `constructor` emit `constructor(*elements)`."""

    def parse(text):
        value = json.loads(text)
        return constructor(*value) if constructor else value

    return OperatorFilter(this, "from_json", stateless.map(parse))
