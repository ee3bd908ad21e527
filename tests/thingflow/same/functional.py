"""Thunks: filters without a source, composed and given to the scheduler."""

from thingflow.base import IterableAsOutputThing, Scheduler
from thingflow.filters.combinators import compose, parallel, passthrough
from thingflow.filters.first import first
from thingflow.filters.json import from_json, to_json
from thingflow.filters.output import output, output_count
from thingflow.filters.select import select
from thingflow.filters.skip import skip
from thingflow.filters.take import last, take
from thingflow.filters.where import where
from virtual import Loop, Sensor, Show

scheduler = Scheduler(Loop())
scheduler.schedule_sensor(
    Sensor("a", range(8)),
    0.5,
    where(lambda x: x % 2),
    passthrough(compose(select(lambda x: -x), Show("spur"))),
    passthrough(output()),
    output_count,
    select(lambda x: x + 1),
    Show("end"),
    make_event_fn=lambda s, v: v,
    print_downstream=True,
)
scheduler.run_forever()

thing = IterableAsOutputThing(iter(range(5)), name="numbers")
parallel(Show("one"), print, compose(skip(3), to_json(), from_json(), Show("two")))(thing)
compose(take(2), last())(thing).connect(Show("last of two"))
first()(thing).connect(Show("first"))
print(thing)
scheduler.schedule_recurring(thing)
scheduler.run_forever()
