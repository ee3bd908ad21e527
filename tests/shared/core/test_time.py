"""Operators over change and time: what they emit, when, and what they say at the end."""

import errno

from bourn import (
    OutputThing,
    Scheduler,
    SensorEvent,
    debounce,
    delta,
    distinct_until_changed,
    heartbeat,
    map,
    merge,
    pairwise,
    throttle,
    timeout,
    tumbling,
)
from bourn.testing import ManualClock, Recorder

END = "completed"


class Flow:
    """A thing with a planner; what its sink receives is kept as (ms, event)."""

    def __init__(self, *operators):
        self.clock = ManualClock()
        self.scheduler = Scheduler(self.clock)
        self.thing = OutputThing()
        self.thing.scheduler = self.scheduler
        self.seen = []
        self.end = None
        self.disconnect = self.thing.pipe(*(operators + (self,)))

    def on_next(self, x):
        assert self.end is None
        self.seen.append((self.clock.now(), x))

    def on_completed(self):
        assert self.end is None
        self.end = (self.clock.now(), END)

    def on_error(self, e):
        assert self.end is None
        self.end = (self.clock.now(), e)

    def play(self, *timeline, until=1000):
        """Emit (ms, event) each at its time; END and an exception end the stream. Then what was seen."""
        for ms, x in timeline:
            self.run(ms)
            if x is END:
                self.thing._dispatch_completed()
            elif isinstance(x, Exception):
                self.thing._dispatch_error(x)
            else:
                self.thing._dispatch_next(x)
        self.run(until)
        return self.seen

    def run(self, until):
        """Let time pass up to `until`, with what is due then."""
        while True:
            wake = self.scheduler.next_wake()
            if wake is None or wake > until:
                break
            self.clock.advance(max(0, wake - self.clock.now()))
            self.scheduler.run_due(self.clock.now())
        self.clock.advance(until - self.clock.now())

    def waits(self):
        """True while the device would wake for this flow."""
        return self.scheduler.next_wake() is not None


def events(flow):
    return [x for _, x in flow.seen]


def emitted(operator, *xs):
    """What an operator makes of events at one moment, and of the end."""
    flow = Flow(operator)
    flow.play(*[(0, x) for x in xs] + [(0, END)])
    assert flow.end == (0, END)
    return events(flow)


def refused(function, *args):
    try:
        function(*args)
    except ValueError:
        return True
    return False


# Change


def test_delta_counts_from_what_was_emitted_last():
    assert emitted(delta(3), 10, 11, 12, 13, 14, 11, 10, 20) == [10, 13, 10, 20]
    assert emitted(delta(0), 1, 1) == [1, 1]
    assert emitted(delta(1), 0, -1, -2) == [0, -1, -2]
    assert emitted(delta(1)) == []


def test_delta_of_readings_goes_by_their_value_or_by_a_key():
    a, b, c = SensorEvent("t", 1, 20.0), SensorEvent("t", 2, 20.25), SensorEvent("t", 3, 20.5)
    assert emitted(delta(0.5), a, b, c) == [a, c]
    assert emitted(delta(2, key=lambda e: e.ts), a, b, c) == [a, c]


def test_delta_lets_no_nan_hide_what_follows():
    assert str(emitted(delta(1), float("nan"), 5, 5.5, float("nan"), 6)) == "[nan, 5, nan, 6]"


def test_what_is_no_threshold_or_time_is_refused():
    for bad in (-1, float("nan")):
        assert refused(delta, bad)
    for operator in (throttle, debounce, heartbeat, timeout):
        for bad in (0, -1, 0.0001):
            assert refused(operator, bad), operator


def test_distinct_until_changed():
    assert emitted(distinct_until_changed(), None, None, 1, 1, 2, 1) == [None, 1, 2, 1]
    a, b, c = SensorEvent("t", 1, 5), SensorEvent("t", 2, 5), SensorEvent("t", 3, 6)
    assert emitted(distinct_until_changed(), a, b, c) == [a, c]
    assert emitted(distinct_until_changed(key=lambda e: e.sensor_id), a, b, c) == [a]
    assert emitted(distinct_until_changed(lambda x: x % 10), 1, 11, 2) == [1, 2]


def test_pairwise():
    assert emitted(pairwise(), 1) == []
    assert emitted(pairwise(), None, 2, 3) == [(None, 2), (2, 3)]


def test_change_begins_anew_when_the_chain_does():
    flow = Flow(distinct_until_changed(), pairwise())
    flow.play((0, 1), (0, 2))
    flow.disconnect()
    flow.thing.pipe(distinct_until_changed(), flow)
    flow.play((1000, 2))
    assert events(flow) == [(1, 2), 2]


# Throttle


def test_throttle_emits_at_most_once_per_period_and_always_the_latest():
    flow = Flow(throttle(s=0.1))
    flow.play((0, 1), (10, 2), (20, 3), (150, 4), (400, 5), until=350)
    assert flow.seen == [(0, 1), (100, 3), (200, 4), (400, 5)]
    assert flow.end is None


def test_throttle_asks_for_no_wake_up_when_nothing_waits():
    flow = Flow(throttle(s=0.1))
    flow.play((0, 1), until=50)
    assert not flow.waits()
    flow.play((60, 2), until=70)
    assert flow.waits() and flow.scheduler.next_wake() == 100
    flow.run(200)
    assert not flow.waits()


def test_throttle_late_timer_gives_way_to_a_newer_event():
    flow = Flow(throttle(s=0.1))
    flow.play((0, 1), (10, 2), until=20)
    flow.clock.advance(100)  # nothing ran at 100
    flow.thing._dispatch_next(3)
    flow.run(500)
    assert flow.seen == [(0, 1), (120, 3)]


def test_throttle_emits_what_waits_at_the_end_of_either_kind():
    for end in (END, ValueError("broken")):
        flow = Flow(throttle(s=0.1))
        flow.play((0, 1), (10, 2), (20, end), (30, 3))
        assert flow.seen == [(0, 1), (20, 2)]
        assert flow.end == (20, end)
        assert not flow.waits()


def test_the_end_of_an_unused_one_asks_nobody_for_the_time():
    for operator in (throttle(1), debounce(1), heartbeat(1), timeout(1)):
        thing, sink = OutputThing(), Recorder()
        thing.pipe(operator, sink)
        thing._dispatch_completed()
        assert (sink.events, sink.end) == ([], "completed")


def test_disconnecting_cancels_what_waits():
    for operator in (throttle(0.1), debounce(0.1), heartbeat(0.1), timeout(0.1)):
        flow = Flow(operator)
        flow.play((0, 1), (10, 2), until=20)
        assert flow.waits(), operator.name
        flow.disconnect()
        flow.run(500)
        assert not flow.waits() and flow.end is None
        assert events(flow) == ([1] if operator.name == "throttle" else [] if operator.name == "debounce" else [1, 2])


def test_without_a_planner_an_event_that_needs_time_says_so():
    thing, sink = OutputThing(), Recorder()
    thing.pipe(throttle(1), sink)
    thing._dispatch_next(1)
    assert isinstance(sink.end, RuntimeError) and "Scheduler" in str(sink.end)


# Debounce


def test_debounce_emits_the_latest_after_quiet():
    flow = Flow(debounce(s=0.05))
    flow.play((0, 1), (30, 2), (60, 3), (200, 4))
    assert flow.seen == [(110, 3), (250, 4)]
    assert flow.end is None and not flow.waits()


def test_debounce_wakes_only_for_the_latest():
    flow = Flow(debounce(s=0.05))
    flow.play((0, 1), (30, 2), until=40)
    assert flow.scheduler.next_wake() == 80


def test_debounce_at_the_end():
    for end in (END, ValueError("broken")):
        flow = Flow(debounce(s=0.05))
        flow.play((0, 1), (10, 2), (20, end))
        assert (flow.seen, flow.end) == ([(20, 2)], (20, end))


# Heartbeat and timeout


def test_heartbeat_repeats_the_latest_when_quiet():
    flow = Flow(heartbeat(s=0.1))
    flow.play((50, 1), (80, 2), (300, 3), (350, END))
    assert flow.seen == [(50, 1), (80, 2), (180, 2), (280, 2), (300, 3)]
    assert flow.end == (350, END) and not flow.waits()


def test_heartbeat_ends_with_an_error():
    flow = Flow(heartbeat(s=0.1))
    error = ValueError("broken")
    flow.play((0, None), (150, error))
    assert flow.seen == [(0, None), (100, None)]
    assert flow.end == (150, error) and not flow.waits()


def test_timeout_fails_when_nothing_comes():
    flow = Flow(timeout(s=0.1))
    flow.play((0, 1), (90, 2), (300, 3))
    assert flow.seen == [(0, 1), (90, 2)]
    ms, error = flow.end
    assert ms == 190 and isinstance(error, OSError) and error.args[0] == errno.ETIMEDOUT
    assert flow.thing._branches == () and not flow.waits()


def test_timeout_counts_from_connecting():
    flow = Flow(timeout(s=0.1))
    flow.run(100)
    assert flow.end[0] == 100


def test_timeout_with_an_event_goes_on():
    made = []

    def make():
        made.append(len(made))
        return ["quiet", len(made)]

    for event, first, second in (("quiet", "quiet", "quiet"), (make, ["quiet", 1], ["quiet", 2])):
        flow = Flow(timeout(s=0.1, event=event))
        flow.play((50, 1), (270, 2), (280, END))
        assert flow.seen == [(50, 1), (150, first), (250, second), (270, 2)]
        assert flow.end == (280, END) and not flow.waits()


def test_one_that_has_ended_wakes_nobody_although_the_chain_goes_on():
    for operator in (throttle(0.1), debounce(0.1), heartbeat(0.1), timeout(0.1), tumbling("last", s=1)):
        third = OutputThing()
        flow = Flow(operator, merge(third))
        flow.play((1, 1), (2, 2), (3, END), until=4)
        assert not flow.waits() and flow.end is None, operator.name
        third._dispatch_next("on")
        assert flow.seen[-1] == (4, "on")


def test_the_shortest_time_is_a_millisecond():
    flow = Flow(throttle(0.001))
    flow.play((0, 1), (0, 2), (1, 3), until=10)
    assert flow.seen == [(0, 1), (1, 2), (2, 3)]  # what was due at 1 ran first


# Guards


def test_what_a_timer_emits_is_guarded_by_the_policy_of_the_sink():
    flow = Flow()
    failing = Recorder()

    def raising(x):
        failing.events.append(x)
        raise ValueError(x)

    failing.on_next = raising
    flow.thing.pipe(debounce(0.05)).connect(failing, policy="skip")
    flow.play((0, 1), (100, 2))
    assert (failing.events, failing.end, flow.thing.errors) == ([1, 2], None, 2)
    flow.thing.pipe(debounce(0.05), failing)
    flow.play((1000, 3), (1100, 4), until=2000)
    assert isinstance(failing.end, ValueError)
    assert len(flow.thing._branches) == 2  # the flow's own sink and the one that skips


def test_an_error_is_told_also_when_what_is_withheld_finds_another():
    flow = Flow(debounce(1), map(lambda x: 1 // x))
    error = KeyError("source")
    flow.play((0, 0), (10, error))
    assert flow.seen == [] and flow.end == (10, error)


def test_stages_keep_their_state_when_sinks_come_and_go():
    flow = Flow()
    late = Recorder()
    chain = flow.thing.pipe(throttle(0.1))
    chain.connect(lambda x: None)
    flow.play((0, 1), (10, 2), until=50)
    chain.connect(late)
    flow.run(200)
    assert late.events == [2]


def test_months_pass():
    flow = Flow(throttle(3600), delta(1))
    flow.clock.advance((1 << 30) - 5000)
    start = flow.clock.now()
    flow.play((start, 1), (start + 4000, 2), (start + 8000, 3), until=start + 4000000)
    assert flow.seen == [(start, 1), (start + 3600000, 3)]
