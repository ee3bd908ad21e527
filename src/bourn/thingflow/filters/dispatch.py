"""One input, one output port for each rule."""

from __future__ import annotations

from bourn.thingflow.base import InputThing, OutputThing, filtermethod


class Dispatcher(OutputThing, InputThing):
    """Emits each event on the port of the first rule `(predicate, port)` that is true, else on the default port."""

    def __init__(self, previous_in_chain, dispatch_rules):
        super().__init__(ports=dict.fromkeys([*(port for _, port in dispatch_rules), "default"]))
        self.dispatch_rules = dispatch_rules
        self.disconnect = previous_in_chain.connect(self)

    def on_next(self, x):
        """Emit `x` on its port."""
        for predicate, port in self.dispatch_rules:
            if predicate(x):
                self._dispatch_next(x, port=port)
                return
        self._dispatch_next(x)

    def on_completed(self):
        """End every port."""
        for port in list(self._ports):
            self._dispatch_completed(port=port)

    def on_error(self, e):
        """End every port with the error."""
        for port in list(self._ports):
            self._dispatch_error(e, port=port)

    def __str__(self):
        return "dispatch"


@filtermethod(OutputThing)
def dispatch(this, dispatch_rules):
    """Emit each event on the port of the first rule `(predicate, port)` that is true, else on the default port."""
    return Dispatcher(this, dispatch_rules)
