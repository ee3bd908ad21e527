"""group_by and retry: chains that operators make, and make anew."""

from bourn import (
    OutputThing,
    Scheduler,
    SensorAsOutputThing,
    SensorEvent,
    debounce,
    delta,
    group_by,
    map,
    pairwise,
    retry,
    tumbling,
)
from bourn.testing import ManualClock, Recorder


class Flow:
    def __init__(self):
        self.clock = ManualClock()
        self.scheduler = Scheduler(self.clock)
        self.thing = OutputThing()
        self.thing.scheduler = self.scheduler
        self.sink = Recorder()

    def pipe(self, *operators, policy="stop"):
        return self.thing.pipe(*operators).connect(self.sink, policy)

    def emit(self, *events):
        for x in events:
            self.thing._dispatch_next(x)

    def run(self, until):
        while True:
            wake = self.scheduler.next_wake()
            if wake is None or wake > until:
                break
            self.clock.advance(max(0, wake - self.clock.now()))
            self.scheduler.run_due(self.clock.now())
        self.clock.advance(until - self.clock.now())


def refused(function, *args, **options):
    try:
        function(*args, **options)
    except ValueError:
        return True
    return False


def first(x):
    return x[0]


# group_by


def test_each_key_has_operators_of_its_own():
    flow = Flow()
    events = [SensorEvent(name, 0, val) for name, val in (("a", 1), ("b", 1.2), ("a", 1.3), ("b", 2), ("a", 2))]
    flow.pipe(group_by(lambda e: e.sensor_id, lambda key: delta(0.5)))
    flow.emit(*events)
    assert flow.sink.events == [events[0], events[1], events[3], events[4]]


def test_make_is_told_the_key_and_may_return_several():
    flow = Flow()
    flow.pipe(group_by(first, lambda key: (pairwise(), map(lambda pair: (key, pair[1][1] - pair[0][1])))))
    flow.emit(("a", 1), ("b", 5), ("a", 3), ("b", 4))
    assert flow.sink.events == [("a", 2), ("b", -1)]


def test_the_end_of_either_kind_closes_all_groups():
    for error in (None, ValueError("broken")):
        flow = Flow()
        flow.pipe(group_by(first, lambda key: debounce(1)), map(lambda x: x * 2))
        flow.emit("a1", "b1", "a2")
        flow.thing._dispatch_completed(error)
        assert flow.sink.events == ["b1b1", "a2a2"]
        assert flow.sink.end == (error or "completed")
        assert flow.scheduler.next_wake() is None


def test_timers_of_groups_emit_and_go_with_the_chain():
    flow = Flow()
    end = flow.pipe(group_by(first, lambda key: debounce(1)))
    flow.emit("a1", "b1")
    flow.run(1000)
    assert flow.sink.events == ["a1", "b1"]
    flow.emit("a2")
    end()
    assert flow.scheduler.next_wake() is None
    flow.run(3000)
    assert (flow.sink.events, flow.sink.end) == (["a1", "b1"], None)


def test_the_bound_on_keys():
    flow = Flow()
    operator = group_by(first, lambda key: tumbling(list, count=9), bound=2)
    flow.pipe(operator)
    flow.emit("a1", "b1", "a2", "c1", "b2")  # c closes b, then b closes a
    assert flow.sink.events == [["b1"], ["a1", "a2"]]
    assert operator.counters == {"closed": 2, "dropped": 0}
    flow.thing._dispatch_completed()
    assert flow.sink.events == [["b1"], ["a1", "a2"], ["c1"], ["b2"]]

    flow = Flow()
    operator = group_by(first, lambda key: pairwise(), bound=2, policy="drop_newest")
    flow.pipe(operator)
    flow.emit("a1", "b1", "c1", "a2", "c2", "b2")
    assert flow.sink.events == [("a1", "a2"), ("b1", "b2")]
    assert operator.counters == {"closed": 0, "dropped": 2}
    flow = Flow()
    flow.pipe(group_by(first, lambda key: pairwise(), bound=1))
    flow.emit("a1", "a2", "b1", "a3", "a4")
    assert flow.sink.events == [("a1", "a2"), ("a3", "a4")]
    assert refused(group_by, first, pairwise, bound=0) and refused(group_by, first, pairwise, policy="block")


def test_what_a_group_raises_is_for_the_policy_of_the_sink():
    for policy, events in (("skip", [5, 2]), ("stop", [5])):
        flow = Flow()
        flow.pipe(group_by(lambda x: x % 2, lambda key: map(lambda x: 10 // x)), policy=policy)
        flow.emit(2, 0, 5)
        assert (flow.sink.events, flow.thing.errors) == (events, 1)
        assert flow.sink.end is None if policy == "skip" else isinstance(flow.sink.end, ZeroDivisionError)
        assert len(flow.thing._branches) == (policy == "skip")


def test_what_a_timer_of_a_group_raises_is_too():
    for policy in ("skip", "stop"):
        flow = Flow()
        flow.pipe(group_by(first, lambda key: (debounce(1), map(lambda x: 10 // x[1]))), policy=policy)
        flow.emit(("a", 0))
        flow.run(1000)
        assert flow.thing.errors == 1, policy
        assert flow.sink.end is None if policy == "skip" else isinstance(flow.sink.end, ZeroDivisionError)
        assert len(flow.thing._branches) == (policy == "skip")
        flow.emit(("a", 5))
        flow.run(3000)
        assert flow.sink.events == ([2] if policy == "skip" else [])


# retry


def zeros(n):
    return b"\0" * n


def ones(n):
    return b"\xff" * n


def test_retry_attaches_anew_after_a_pause():
    flow = Flow()
    operator = retry(s=1, random=ones)
    flow.pipe(operator)
    flow.emit(1)
    flow.thing._dispatch_error(OSError(5))
    flow.emit("nobody")
    flow.run(999)
    flow.emit("nobody")
    flow.run(1000)
    flow.emit(2)
    assert (flow.sink.events, flow.sink.end, operator.counters) == ([1, 2], None, {"retries": 1})
    flow.thing._dispatch_completed()
    assert flow.sink.end == "completed"


def test_the_pause_doubles_up_to_the_cap_and_begins_anew_with_an_event():
    for random, pauses in ((ones, [1000, 2000, 4000, 5000, 5000]), (zeros, [500, 1000, 2000, 2500, 2500])):
        flow = Flow()
        flow.pipe(retry(s=1, cap_s=5, random=random))
        for pause in pauses + [pauses[0]]:
            if pause is pauses[0] and flow.clock.now():
                flow.emit("success")
            flow.thing._dispatch_error(OSError(5))
            assert flow.scheduler.next_wake() == flow.clock.now() + pause
            flow.run(flow.clock.now() + pause)


def test_retry_gives_up_after_so_many_failures_in_a_row():
    flow = Flow()
    flow.pipe(retry(times=2, random=ones))
    for n in range(3):
        assert flow.sink.end is None
        error = OSError(n)
        flow.thing._dispatch_error(error)
        flow.run(flow.clock.now() + 10000)
    assert flow.sink.end is error and flow.thing._branches == ()
    flow = Flow()
    flow.pipe(retry(times=0))
    flow.thing._dispatch_error(error)
    assert flow.sink.end is error


def test_operators_before_it_begin_anew_and_those_after_it_go_on():
    flow = Flow()
    flow.pipe(pairwise(), map(lambda pair: 6 // pair[1]), retry(random=ones), pairwise())
    flow.emit(1, 2, 3, 0, "nobody")
    assert flow.thing.errors == 1
    flow.run(1000)
    flow.emit(1, 1, 6)
    assert flow.sink.events == [(3, 2), (2, 6), (6, 1)]


def test_retry_schedules_a_sensor_again():
    class Flaky:
        sensor_id = "f"
        values = [1, OSError(5), OSError(6), 2, StopIteration()]

        def sample(self):
            x = self.values.pop(0)
            if isinstance(x, Exception):
                raise x
            return x

    flow = Flow()
    sensor = SensorAsOutputThing(Flaky(), flow.clock)
    at = []
    sensor.pipe(
        retry(s=4, random=ones, again=lambda: flow.scheduler.schedule_periodic(sensor, 10)),
        map(lambda e: at.append(flow.clock.now()) or e.val),
        flow.sink,
    )
    flow.scheduler.schedule_periodic(sensor, 10)
    flow.run(100000)
    # 0: 1; 10 s: fails, again after 4 s; 20 s: fails, again after 8 s; 30 s: 2
    assert (at, flow.sink.events, flow.sink.end) == ([0, 30000], [1, 2], "completed")
    assert flow.scheduler.next_wake() is None


def test_a_failure_to_begin_again_is_a_failure():
    flow = Flow()
    tried = []

    def again():
        tried.append(flow.clock.now())
        if len(tried) < 3:
            raise OSError(5)

    flow.pipe(retry(s=1, random=ones, again=again))
    flow.thing._dispatch_error(OSError(5))
    flow.run(2000)
    assert flow.thing._branches == ()
    flow.run(20000)
    assert tried == [1000, 3000, 7000]
    flow.emit(1)
    assert (flow.sink.events, flow.sink.end) == ([1], None)


def test_disconnecting_ends_the_retrying():
    flow = Flow()
    end = flow.pipe(retry())
    flow.thing._dispatch_error(OSError(5))
    end()
    assert flow.scheduler.next_wake() is None
    flow.run(100000)
    assert flow.thing._branches == () and flow.sink.end is None
    flow.pipe(retry())
    flow.emit(1)
    assert flow.sink.events == [1]


def test_a_failing_sink_is_attached_anew_too():
    flow = Flow()
    flow.pipe(retry(s=1, random=ones))
    seen = []
    flow.sink.on_next = lambda x: seen.append(10 // x)
    flow.emit(5, 0, 1)
    flow.run(1000)
    flow.emit(2)
    assert (seen, flow.sink.end, flow.thing.errors) == ([2, 5], None, 1)


def test_without_a_planner_retry_says_so():
    thing, sink = OutputThing(), Recorder()
    thing.pipe(retry(), sink)
    thing._dispatch_error(OSError(5))
    assert isinstance(sink.end, RuntimeError) and "Scheduler" in str(sink.end) and "5" in str(sink.end)
    assert refused(retry, s=0) and refused(retry, cap_s=0)
