"""Sources of events other than sensors, trying again when they fail, and events as text."""

import io

from bourn import (
    FunctionAsOutputThing,
    IterableAsOutputThing,
    Never,
    OutputThing,
    Retry,
    Scheduler,
    SensorAsOutputThing,
    SensorEvent,
    from_func,
    from_iterable,
    from_json,
    from_list,
    output,
    output_count,
    retry,
    to_json,
)
from bourn.testing import ManualClock, Recorder, raises


def observed(thing, until=100):
    """What a thing emits when it is observed every second."""
    sink = Recorder()
    thing.connect(sink)
    scheduler = Scheduler(ManualClock())
    scheduler.schedule_periodic(thing, 1)
    scheduler.schedule_later_one_time(scheduler.stop, until)
    scheduler.run_forever()
    return sink


def half(n):
    """Of a random half everything: pauses as long as can be."""
    return b"\xff" * n


# Sources


def test_iterables():
    for thing in (from_iterable(range(3)), from_list([0, 1, 2]), IterableAsOutputThing(x for x in (0, 1, 2))):
        sink = observed(thing)
        assert (sink.events, sink.end) == ([0, 1, 2], "completed")
    assert observed(from_list([])).end == "completed"


def test_one_element_at_each_observation():
    sink = observed(from_list([1, 2, 3]), until=1.5)
    assert (sink.events, sink.end) == ([1, 2], None)  # at 0 and at 1 s


def test_an_iterator_that_fails_ends_the_stream():
    def failing():
        yield 1
        raise OSError(5)

    sink = observed(from_iterable(failing()))
    assert (sink.events, sink.end.args) == ([1], (5,))


def test_from_func():
    sink = observed(from_func(1, lambda x: x < 20, lambda x: x * 3, str))
    assert (sink.events, sink.end) == (["1", "3", "9"], "completed")
    assert observed(from_func(1, lambda x: False, lambda x: x, str)).events == []


def test_a_function():
    values = [1, OSError(5), 2, StopIteration()]

    def function():
        val = values.pop(0)
        if isinstance(val, Exception):
            raise val
        return val

    thing = FunctionAsOutputThing(function, policy="skip")
    sink = observed(thing)
    assert (sink.events, sink.end, thing.failures, thing.failures_in_row) == ([1, 2], "completed", 1, 0)


def test_never():
    sink = observed(Never(), until=5)
    assert (sink.events, sink.end) == ([], None)


# Trying again


class Broken:
    """A sensor that fails at the samples (from 1) in `at`."""

    sensor_id = "b"

    def __init__(self, clock, at):
        self.clock = clock
        self.at = at
        self.asked = []  # ms of each sample

    def sample(self):
        self.asked.append(self.clock.now())
        if len(self.asked) in self.at:
            raise OSError(5)
        return len(self.asked)


def sampled(at, policy, interval=60, until=200):
    """The sensor and the recorder after `until` seconds."""
    clock, sink = ManualClock(), Recorder()
    scheduler = Scheduler(clock)
    sensor = Broken(clock, at)
    thing = SensorAsOutputThing(sensor, clock, policy=policy)
    thing.connect(sink)
    scheduler.schedule_periodic(thing, interval)
    scheduler.schedule_later_one_time(scheduler.stop, until)
    scheduler.run_forever()
    return sensor, sink, thing


def test_retry_asks_again_after_a_pause_that_doubles():
    sensor, sink, thing = sampled((2, 3, 4), Retry(3, s=1, random=half))
    assert sensor.asked == [0, 60000, 61000, 63000, 67000, 120000, 180000]
    assert [x.val for x in sink.events] == [1, 5, 6, 7]
    assert (sink.end, thing.failures, thing.failures_in_row) == (None, 3, 0)


def test_a_success_ends_the_row():
    sensor, sink, _ = sampled((1, 3, 4, 6), Retry(2, s=1, random=half))
    assert sensor.asked == [0, 1000, 60000, 61000, 63000, 120000, 121000, 180000]
    assert sink.end is None


def test_after_too_many_failures_the_stream_ends_and_the_schedule_with_it():
    sensor, sink, thing = sampled((2, 3, 4, 5), Retry(2, s=1, random=half))
    assert sensor.asked == [0, 60000, 61000, 63000]
    assert (len(sink.events), type(sink.end), thing.failures) == (1, OSError, 3)
    sensor, sink, _ = sampled((1,), Retry(0))
    assert (sensor.asked, type(sink.end)) == ([0], OSError)


def test_a_sample_on_schedule_takes_the_place_of_a_retry():
    sensor, sink, _ = sampled((1, 2), Retry(5, s=15, random=half), interval=10, until=45)
    # fails at 0: again at 15; fails at 10: again at 40, but 20 succeeds before
    assert sensor.asked == [0, 10000, 20000, 30000, 40000]
    assert [x.val for x in sink.events] == [3, 4, 5]


def test_the_pause_has_a_cap_and_is_spread():
    sensor, _, _ = sampled((1, 2, 3, 4), Retry(9, s=2, cap_s=5, random=half), interval=1000)
    assert sensor.asked == [0, 2000, 6000, 11000, 16000]
    sensor, _, _ = sampled((1, 2, 3, 4), Retry(9, s=2, cap_s=5, random=bytes), interval=1000)
    assert sensor.asked == [0, 1000, 3000, 5500, 8000]


def test_one_policy_may_serve_several_sensors():
    policy = Retry(2, s=1, random=half)
    clock = ManualClock()
    scheduler = Scheduler(clock)
    sensors = [Broken(clock, (1, 2)), Broken(clock, (1,))]
    for sensor in sensors:
        scheduler.schedule_periodic(SensorAsOutputThing(sensor, clock, policy=policy), 60)
    scheduler.schedule_later_one_time(scheduler.stop, 30)
    scheduler.run_forever()
    assert [sensor.asked for sensor in sensors] == [[0, 1000, 3000], [0, 1000]]


def test_retry_without_a_scheduler_goes_on_with_the_next_sample():
    sensor = Broken(ManualClock(), (1, 2, 4, 5, 6))
    thing, sink = SensorAsOutputThing(sensor, ManualClock(), policy=Retry(2)), Recorder()
    thing.connect(sink)
    assert [thing._observe() for _ in range(6)] == [True, True, True, True, True, False]
    assert (len(sink.events), type(sink.end)) == (1, OSError)


def test_retry_of_a_sink_is_a_number_in_all():
    thing, sink = OutputThing(), Recorder()
    sink.on_next = lambda x: 1 // x
    thing.connect(sink, policy=Retry(2))
    ends = []
    for x in (0, 1, 0, 1, 0):
        thing._dispatch_next(x)
        ends.append(sink.end is not None)
    assert ends == [False, False, False, False, True]


def test_a_sensor_that_is_scheduled_anew_after_its_end_begins_a_new_row():
    clock = ManualClock()
    scheduler = Scheduler(clock)
    sensor, sink = Broken(clock, (1, 2, 3, 4)), Recorder()
    thing = SensorAsOutputThing(sensor, clock, policy=Retry(1, s=1, random=half))
    thing.pipe(retry(again=lambda: scheduler.schedule_periodic(thing, 60), s=10, random=half), sink)
    scheduler.schedule_periodic(thing, 60)
    scheduler.schedule_later_one_time(scheduler.stop, 130)
    scheduler.run_forever()
    assert sensor.asked == [0, 1000, 60000, 61000, 120000]
    assert [x.val for x in sink.events] == [5]


def test_a_negative_number_of_retries_is_refused():
    raises(ValueError, Retry, -1)
    raises(ValueError, Retry, 1, s=0)


# Text


def through(operators, *events):
    thing, sink = OutputThing(), Recorder()
    thing.pipe(*operators + (sink,))
    for x in events:
        thing._dispatch_next(x)
    thing._dispatch_completed()
    return sink


def test_json_there_and_back():
    events = [SensorEvent("t1", 1700000000000, 21.5), 1, "a", None, True, [1, [2]], {"a": [1.5]}]
    lines = through((to_json(),), *events).events
    assert [type(line) for line in lines] == [str] * len(events)
    back = through((from_json(),), *lines).events
    assert back == [["t1", 1700000000000, 21.5]] + events[1:]
    event = through((from_json(SensorEvent),), lines[0]).events[0]
    assert event == events[0] and isinstance(event, SensorEvent)


def test_what_json_does_not_have_is_refused():
    nan, inf = float("nan"), float("inf")
    for x in (nan, inf, -inf, [1, nan], {"a": (inf,)}, SensorEvent("t", 0, nan)):
        sink = through((to_json(),), x)
        assert (sink.events, type(sink.end)) == ([], ValueError)
    sink = through((from_json(),), "no")
    assert (sink.events, isinstance(sink.end, ValueError)) == ([], True)


def test_output():
    file = io.StringIO()
    sink = through((output(file), output_count(file)), 1, "two")
    assert (sink.events, sink.end) == ([1, "two"], "completed")
    assert file.getvalue() == "1\ntwo\n2 events\n"
