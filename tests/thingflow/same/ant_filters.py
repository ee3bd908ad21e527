"""AntEvents: filters as methods and as thunks, a Filter of one's own, and the scheduler with a sensor."""

import antevents.linq.output
import antevents.linq.scan
import antevents.linq.where
from antevents.base import Filter, Publisher, Scheduler, SensorEvent, SensorPub, filtermethod, make_sensor_event
from antevents.linq.buffer import buffer_with_count
from antevents.linq.combinators import compose, parallel, passthrough
from antevents.linq.first import first
from antevents.linq.json import from_json, to_json
from antevents.linq.map import map
from antevents.linq.select import select
from antevents.linq.skip import skip
from antevents.linq.some import some
from antevents.linq.take import last, take
from antevents.linq.transducer import PeriodicMedianTransducer, SensorSlidingMean
from virtual import Loop, Sensor, Show


@filtermethod(Publisher, alias="doubled")
def twice(this):
    def on_next(self, x):
        self._dispatch_next(x)
        self._dispatch_next(x)

    def on_completed(self):
        self._dispatch_next("the end")
        self._dispatch_completed()

    return Filter(this, on_next, on_completed, name="twice")


def numbers(*values):
    return SensorPub(Sensor("n", values), make_event_fn=lambda s, v: v)


scheduler = Scheduler(Loop())
publisher = numbers(1, 2, 3, 4, 5)
publisher.output().map(lambda x: x + 1).where(lambda x: x % 2).output_count().subscribe(Show("odd"))
publisher.scan(lambda a, x: a + x).subscribe(Show("sum"))
publisher.twice().subscribe(Show("twice"))
publisher.doubled().buffer_with_count(3).subscribe(Show("threes"))
publisher.some(lambda x: x > 3).subscribe(Show("some"))
publisher.reduce(lambda a, x: a * x).subscribe(Show("product"))
scheduler.schedule_periodic(publisher, 0.5)
scheduler.run_forever()

scheduler.schedule_sensor(
    Sensor("a", range(8)),
    0.5,
    map(lambda e: SensorEvent(e.sensor_id, 0, e.val)),
    passthrough(compose(select(lambda e: -e.val), Show("spur"))),
    passthrough(parallel(compose(skip(6), Show("late")), compose(first(), Show("first")))),
    to_json(),
    from_json(),
    take(3),
    Show("end"),
)
scheduler.run_forever()

readings = SensorPub(Sensor(7, [1, 5, 3, 4, 9, 2, 8]), make_event_fn=lambda s, v: SensorEvent(s.sensor_id, 1.5, v))
readings.transduce(SensorSlidingMean(3)).subscribe(Show("mean"))
readings.transduce(PeriodicMedianTransducer(3)).subscribe(Show("median"))
last()(readings).subscribe(Show("last"))
failing = Filter(readings, on_next=lambda self, x: self._dispatch_next(x.val // (x.val - 3)), name="failing")
failing.subscribe(Show("failing"))
print(failing, buffer_with_count is not None, some is not None)
Filter(readings).subscribe(Show("all"))
gone = Filter(readings)
gone.subscribe(Show("disposed"))
gone.dispose()
scheduler.schedule_recurring(readings)
scheduler.run_forever()
event = make_sensor_event(Sensor(3, []), 4)
print(event.sensor_id, event.val, event.ts > 1e9)
