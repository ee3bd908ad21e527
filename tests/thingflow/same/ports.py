"""Named ports on both sides, and what is wrong with a port."""

from thingflow.base import (
    InputThing,
    InvalidPortError,
    OutputThing,
    PortAlreadyClosed,
    Scheduler,
    UnknownPortError,
    from_list,
)
from thingflow.filters.dispatch import dispatch
from virtual import Loop, Show


class Split(OutputThing, InputThing):
    def __init__(self):
        super().__init__(ports=["low", "high"])

    def on_next(self, x):
        self._dispatch_next(x, port="low" if x < 3 else "high")

    def on_completed(self):
        self._dispatch_completed(port="low")
        self._dispatch_error(ValueError("no more"), port="high")

    def __str__(self):
        return "Split"


class TwoInputs(InputThing):
    def on_left_next(self, x):
        print("left", x)

    def on_left_completed(self):
        print("left completed")

    def on_left_error(self, e):
        print("left error", e)

    def __str__(self):
        return "TwoInputs"


source = from_list([1, 2, 3, 4])
split = Split()
source.connect(split)
split.connect(TwoInputs(), port_mapping=("low", "left"))
split.connect(Show("high"), port_mapping=("high", "default"))
split.connect(lambda x: print("called", x), ("high", "default"))
for wrong in [lambda: split.connect(Show()), lambda: source.connect(Show(), ("default", "nowhere"))]:
    try:
        wrong()
    except InvalidPortError as e:
        print("InvalidPortError", e.args != ())
rules = [(lambda x: x % 2, "odd"), (lambda x: x == 2, "two")]
ways = source.dispatch(rules)
for port in ("odd", "two", "default"):
    ways.connect(Show("way " + port), port_mapping=(port, "default"))
scheduler = Scheduler(Loop())
scheduler.schedule_recurring(source)
scheduler.run_forever()
for thing, port in ((split, "low"), (source, None), (split, "nowhere")):
    try:
        thing._dispatch_next(1, port=port)
    except (PortAlreadyClosed, UnknownPortError) as e:
        print(type(e).__name__)
print(dispatch is not None)
