"""Stages of stages, ways by what an event is, and named ports."""

from bourn import (
    InputThing,
    OutputThing,
    Scheduler,
    compose,
    debounce,
    dispatch,
    map,
    parallel,
    passthrough,
    take,
    where,
)
from bourn.testing import ManualClock, Recorder, marbles, raises


def emit(thing, *events):
    for x in events:
        thing._dispatch_next(x)


def refuse(x):
    raise ValueError("refused")


# Stages of stages


def test_compose():
    both = compose(map(lambda x: x + 1), where(lambda x: x > 2))
    marbles("-1-2-|", both, "---3-|")
    marbles("-1-2-|", compose(both, compose(map(lambda x: x * 2))), "---6-|")
    marbles("-1-|", compose(), "-1-|")
    sink = Recorder()
    thing = OutputThing()
    thing.pipe(compose(both, sink))
    emit(thing, 1, 2)
    assert sink.events == [3]


def test_a_composition_may_be_in_several_chains():
    both = compose(take(1), map(str))
    for _ in range(2):
        marbles("-1-2-|", both, "-(a|)", values={"a": "1"})


def test_a_sink_is_the_last_stage():
    thing = OutputThing()
    for stages in (
        (Recorder(), map(str)),
        (map(str), compose(Recorder()), Recorder()),
        (parallel(Recorder()), map(str)),
    ):
        raises(TypeError, thing.pipe, *stages)
    assert thing._branches == ()


def test_parallel():
    thing, one, two = OutputThing(), Recorder(), Recorder()
    disconnect = thing.pipe(map(lambda x: x + 1), parallel(one, compose(where(lambda x: x > 2), two)))
    emit(thing, 1, 2)
    assert (one.events, two.events) == ([2, 3], [3])
    disconnect()
    emit(thing, 3)
    assert (one.events, two.events, thing._branches) == ([2, 3], [3], ())


def test_branches_of_parallel_do_not_affect_each_other():
    thing, one, two = OutputThing(), Recorder(), Recorder()
    one.on_next = refuse
    thing.pipe(parallel(one, two))
    emit(thing, 1, 2)
    thing._dispatch_completed()
    assert (type(one.end), two.events, two.end) == (ValueError, [1, 2], "completed")
    for branch in (map(str), (map(str),), compose(one, compose(map(str)))):
        raises(TypeError, parallel, branch)


def test_passthrough():
    spur = Recorder()
    marbles("-1-2-|", passthrough(spur), "-1-2-|")
    assert (spur.events, spur.end) == ([1, 2], "completed")
    spur = Recorder()
    e = marbles("-1-2-#", passthrough(map(str), spur), "-1-2-#")
    assert (spur.events, spur.end) == (["1", "2"], e)
    raises(TypeError, passthrough, map(str))


def test_a_spur_that_fails_ends_alone():
    operator = passthrough(refuse)
    raised = []
    spur = Recorder()
    spur.on_next = refuse
    spur.on_error = raised.append
    operator = passthrough(spur)
    marbles("-1-2-|", operator, "-1-2-|")
    assert (len(raised), operator.counters) == (1, {"errors": 1})


def test_a_spur_has_the_time_of_its_chain_and_ends_with_it():
    thing, sink, spur, clock = OutputThing(), Recorder(), Recorder(), ManualClock()
    thing.scheduler = scheduler = Scheduler(clock)
    disconnect = thing.pipe(map(str), passthrough(debounce(s=1), spur), sink)
    emit(thing, 1)
    assert scheduler.next_wake() == 1000
    clock.advance(1000)
    scheduler.run_due(1000)
    assert (sink.events, spur.events) == (["1"], ["1"])
    emit(thing, 2)
    disconnect()
    assert scheduler.next_wake() is None
    assert (spur.events, spur.end) == (["1"], None)


# Ways


def test_dispatch():
    thing, hot, cold, other = OutputThing(), Recorder(), Recorder(), Recorder()
    ways = thing.pipe(map(lambda x: x * 10), dispatch([(lambda x: x > 60, "hot"), (lambda x: x < 20, "cold")]))
    ways.port("hot").connect(hot)
    ways.port("cold").pipe(map(str), cold)
    ways.connect(other)
    emit(thing, 1, 5, 7, 8)
    thing._dispatch_completed()
    assert (hot.events, cold.events, other.events) == ([70, 80], ["10"], [50])
    assert hot.end == cold.end == other.end == "completed"
    assert thing._branches == ()
    raises(ValueError, ways.port, "warm")


def test_the_first_rule_that_holds_decides_and_a_port_may_have_several():
    thing, low, rest = OutputThing(), Recorder(), Recorder()
    ways = thing.pipe(dispatch([(lambda x: x < 0, "odd"), (lambda x: x < 5, "low"), (lambda x: x > 8, "low")]))
    ways.port("low").connect(low)
    ways.port("default").connect(rest)
    emit(thing, -1, 1, 6, 9)
    error = ValueError()
    thing._dispatch_error(error)
    assert (low.events, rest.events, low.end, rest.end) == ([1, 9], [6], error, error)


def test_what_follows_dispatch_is_the_default():
    marbles("-1-6-|", [dispatch([(lambda x: x > 5, "hot")]), map(lambda x: x + 1)], "-2---|")
    marbles("-1-6-|", [dispatch([(lambda x: x > 5, "default")])], "-1-6-|")


def test_dispatch_is_attached_while_a_port_has_a_sink():
    thing = OutputThing()
    ways = thing.pipe(dispatch([(lambda x: x > 5, "hot")]))
    counts = [len(thing._branches)]
    ends = []
    for port in (ways, ways.port("hot"), ways.port("hot")):
        ends.append(port.connect(Recorder()))
        counts.append(len(thing._branches))
    for end in ends:
        end()
        counts.append(len(thing._branches))
    assert counts == [0, 1, 1, 1, 1, 1, 0]
    sink = Recorder()
    ways.port("hot").connect(sink)
    emit(thing, 6)
    assert sink.events == [6]


def test_a_predicate_that_fails_ends_every_way_or_is_passed_over():
    for policy, expected in (("stop", []), ("skip", [1])):
        thing, sink = OutputThing(), Recorder()
        thing.pipe(dispatch([(lambda x: 1 // x > 5, "hot")], policy), sink)
        emit(thing, 0, 1)
        assert sink.events == expected
        assert (type(sink.end) is ZeroDivisionError) == (policy == "stop")


def test_operators_behind_a_port_have_time():
    thing, sink, clock = OutputThing(), Recorder(), ManualClock()
    thing.scheduler = Scheduler(clock)
    ways = thing.pipe(map(str), dispatch([(lambda x: x == "1", "one")]))
    ways.port("one").pipe(debounce(s=1), sink)
    ways.pipe(debounce(s=2), sink)
    emit(thing, 1, 2)
    clock.advance(2000)
    thing.scheduler.run_due(2000)
    assert sink.events == ["1", "2"]


# Named ports


class Parity(OutputThing):
    def __init__(self, ports=("even", "odd")):
        super().__init__(ports=ports)

    def on_next(self, x):
        self._dispatch_next(x, port="odd" if x % 2 else "even")

    def on_completed(self):
        self._dispatch_completed(port="odd")
        self._dispatch_completed(port="even")


class TwoInputs(InputThing):
    def __init__(self):
        self.seen = []

    def on_next(self, x):
        self.seen.append(("default", x))

    def on_left_next(self, x):
        self.seen.append(("left", x))

    def on_left_completed(self):
        self.seen.append("left|")

    def on_left_error(self, e):
        self.seen.append(e)


def test_output_ports():
    thing, parity, even, odd = OutputThing(), Parity(), Recorder(), Recorder()
    thing.connect(parity)
    parity.port("even").pipe(map(str), even)
    disconnect = parity.connect(odd, port_mapping=("odd", "default"))
    emit(thing, 1, 2, 3)
    disconnect()
    emit(thing, 5, 6)
    thing._dispatch_completed()
    assert (even.events, odd.events, even.end, odd.end) == (["2", "6"], [1, 3], "completed", None)


def test_each_port_ends_once_and_alone():
    parity, even, odd = Parity(), Recorder(), Recorder()
    parity.connect(even, port_mapping=("even", "default"))
    parity.connect(odd, port_mapping=("odd", "default"))
    error = ValueError()
    parity._dispatch_error(error, port="odd")
    parity._dispatch_completed(port="odd")
    emit(parity, *[]) or parity.on_next(1)
    parity.on_next(2)
    assert (odd.events, odd.end, even.events, even.end) == ([], error, [2], None)


def test_what_is_no_port_is_refused():
    parity, sink = Parity(), Recorder()
    raises(ValueError, parity.connect, sink)  # no default among its ports
    raises(ValueError, parity.connect, sink, port_mapping=("prime", "default"))
    raises(ValueError, OutputThing().connect, sink, port_mapping=("even", "default"))
    raises(AttributeError, OutputThing().connect, sink, port_mapping=("default", "left"))
    parity._dispatch_completed()


def test_default_beside_named_ports():
    thing, sink, even = Parity(("default", "even", "odd")), Recorder(), Recorder()
    thing.connect(sink)
    thing.connect(even, port_mapping=("even", "default"))
    thing.on_next(2)
    thing._dispatch_next(7)
    thing._dispatch_error(OSError(5))
    assert (sink.events, even.events, type(sink.end), even.end) == ([7], [2], OSError, None)


def test_input_ports():
    thing, chained, sink = OutputThing(), OutputThing(), TwoInputs()
    thing.connect(sink, port_mapping=("default", "left"))
    chained.pipe(map(str)).connect(sink, "skip", ("default", "left"))
    thing.connect(sink)
    emit(thing, 1)
    emit(chained, 2)
    thing._dispatch_completed()
    error = ValueError()
    chained._dispatch_error(error)
    assert sink.seen == [("left", 1), ("default", 1), ("left", "2"), "left|", error]


def test_from_port_to_port():
    parity, sink = Parity(), TwoInputs()
    parity.connect(sink, port_mapping=("even", "left"))
    parity.on_next(2)
    parity.on_next(3)
    assert sink.seen == [("left", 2)]
