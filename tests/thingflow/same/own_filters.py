"""Classes and functions of a program's own."""

from thingflow.base import (
    DirectOutputThingMixin,
    Filter,
    FunctionFilter,
    OutputThing,
    Scheduler,
    XformOrDropFilter,
    filtermethod,
)
from thingflow.filters.combinators import compose
from virtual import Loop, Show


class Counter(OutputThing, DirectOutputThingMixin):
    def __init__(self):
        super().__init__()
        self.count = 0

    def _observe(self):
        self.count += 1
        if self.count > 6:
            self._dispatch_completed()
        else:
            self._dispatch_next(self.count)


class Double(Filter):
    def on_next(self, x):
        self._dispatch_next(x)
        self._dispatch_next(x)


class Hold(XformOrDropFilter):
    held = None

    def _filter(self, x):
        if x == 5:
            raise KeyError("five")
        before, self.held = self.held, x
        return before

    def _complete(self):
        return self.held


@filtermethod(OutputThing, alias=["every", "nth"])
def sample_every(this, n):
    seen = [0]

    def on_next(self, x):
        seen[0] += 1
        if seen[0] % n == 0:
            self._dispatch_next(x)

    def on_completed(self):
        self._dispatch_next("end")
        self._dispatch_completed()

    return FunctionFilter(this, on_next=on_next, on_completed=on_completed, name=f"every({n})")


counter = Counter()
print(counter, Double(counter))
Double(counter).connect(Show("double"))
Hold(counter).connect(Show("hold"))
counter.sample_every(2).connect(Show("2nd"))
counter.every(3).nth(2).connect(Show("6th"))
compose(sample_every(2), every(2))(counter).connect(Show("4th"))  # noqa: F821 - the decorator has made it
FunctionFilter(counter, on_next=lambda self, x: self._dispatch_next(10 // (x - 3))).connect(Show("divided"))
FunctionFilter(counter).connect(Show("as it is"))
counter.print_downstream()
scheduler = Scheduler(Loop())
scheduler.schedule_periodic(counter, 2)
scheduler.run_forever()
