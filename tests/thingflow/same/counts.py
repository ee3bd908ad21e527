"""Filters that count, and their ends."""

import thingflow.filters
from thingflow.base import FatalError, Scheduler, from_list
from thingflow.filters.take import ArgumentOutOfRangeException, SequenceContainsNoElementsError
from virtual import Loop, Show


def run(name, values, make):
    source = from_list(values)
    make(source).connect(Show(name))
    scheduler = Scheduler(Loop())
    scheduler.schedule_recurring(source)
    scheduler.run_forever()


FILTERS = {
    "take 2": lambda s: s.take(2),
    "take 9": lambda s: s.take(9),
    "take_last 2": lambda s: s.take_last(2),
    "take_last 9": lambda s: s.take_last(9),
    "skip 2": lambda s: s.skip(2),
    "drop 9": lambda s: s.drop(9),
    "last": lambda s: s.last(),
    "last 7": lambda s: s.last(default=7),
    "first": lambda s: s.first(),
    "some": lambda s: s.some(),
    "some > 2": lambda s: s.some(lambda x: x > 2),
    "some > 9": lambda s: s.some(lambda x: x > 9),
    "buffer 2": lambda s: s.buffer_with_count(2),
    "buffer 9": lambda s: s.buffer_with_count(9),
    "sum": lambda s: s.reduce(lambda a, x: a + x, 10),
    "sum of none": lambda s: s.where(lambda x: False).reduce(lambda a, x: a + x),
    "skip take": lambda s: s.skip(1).take(1).output(),
}
for name, make in FILTERS.items():
    for values in ([1, 2, 3], []):
        run(name, values, make)
for make in (lambda s: s.take(-1), lambda s: s.buffer_with_count(-1)):
    try:
        run("negative", [1], make)
    except ArgumentOutOfRangeException:
        print("out of range")
    except FatalError:
        print("fatal")
print(issubclass(SequenceContainsNoElementsError, FatalError), thingflow.filters is not None)
