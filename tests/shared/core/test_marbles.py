"""The testing tools themselves: a marble test fails when it should, and says how."""

from bourn import Operator, OutputThing, debounce, map, merge, where
from bourn.operators.timing import later
from bourn.testing import ManualClock, Recorder, marbles, raises


def drawn(*arguments, **options):
    """The lines of what a marble test says that fails."""
    return str(raises(AssertionError, marbles, *arguments, **options)).strip().split("\n")


def late(ms):
    """An operator that emits each event `ms` later, and the end at once."""

    def start(chain):
        return [chain, None]

    def bind(state, emit, complete, fail):
        state[1] = emit

        def on_next(x):
            later(state[0], ms, lambda: state[1](x))

        return on_next, complete, fail

    return Operator(bind, start)


def test_events_ends_and_errors_each_at_its_time():
    marbles("-1-2--3-|", map(lambda x: x + 1), "-2-3--4-|")
    marbles("1|", (), "1|")
    marbles("-1-#", [where(lambda x: x > 1), map(str)], "---#")
    marbles("--", map(str), "")
    marbles("1-", late(2000), "--1")
    marbles("1-2-|", late(1000), "-1-2|")
    marbles("1-2|", late(1000), "-1-(2|)")  # a timer comes before the end of the same moment


def test_several_in_one_frame_and_spaces_between():
    marbles("-(12)-(3|)", map(lambda x: x + 1), "- (23) - (4|)")
    marbles("  1   |   ", (), "1|")


def test_values_stand_behind_characters():
    marbles("ab", map(lambda x: x * 2), "cd", values={"a": 21.5, "b": [1], "c": 43.0, "d": [1, 1]})
    marbles("xy", map(lambda x: x * 2), "ab", values={"a": "xx", "b": "yy"})
    error = OSError(5)
    assert marbles("-#", (), "-#", values={"#": error}) is error
    assert isinstance(marbles("-#", (), "-#"), ValueError)
    assert marbles("-|", (), "-|") is None


def test_other_things_have_timelines_of_their_own():
    marbles("1-2---|", merge_two, "13(24)-5-|", others=("-34-5|",))
    marbles("(12|)", lambda a, b: [merge(a), merge(b)], "(12)3(4|)", others=("-3|", "--(4|)"))


def merge_two(other):
    return merge(other)


def test_a_frame_is_as_long_as_it_is_said_to_be():
    marbles("12-3----|", debounce(s=0.02), "---2-3--|", frame_ms=10)
    marbles("12-3----|", debounce(s=0.02), "-12-3---|", frame_ms=20)


def test_timers_come_before_events_of_the_same_moment():
    marbles("1-2", late(2000), "--1-2")
    seen = []
    marbles("1-2", [late(2000), map(seen.append)], "--a-a", values={"a": None})
    assert seen == [1, 2]


def test_what_differs_is_drawn_one_above_the_other():
    assert drawn("-1-2-|", map(lambda x: x + 1), "-1-2-|") == [
        "source    -1-2-|",
        "expected  -1-2-|",
        "received  -2-3-|",
    ]
    assert drawn("-(12|)", map(str), "-1-|") == [
        "source    -(12|)--",
        "expected  -1    -|",
        "received  -(12|)--",
    ]


def test_what_is_drawn_has_every_event():
    values = {"a": 21.5}
    lines = drawn("-a--|", map(lambda x: [x]), "-a-#", values=values)
    assert lines[0] == "source    -a       --|"
    assert lines[1] == "expected  -a       -#-"
    assert lines[2] == "received  -<[21.5]>--|"
    assert drawn("1-", late(500), "1-")[2] == "received  1@500ms"
    assert drawn("1", merge_two, "2", others=("-3",))[:2] == ["source    1-", "other     -3"]


def test_each_difference_is_one():
    for expected in ("-1-2-", "-1-2-#", "-1--2|", "-12--|", "-1-(22)-|", "--1-2-|", "-1-2-||", "", "-1-a-|"):
        assert drawn("-1-2-|", (), expected)


def test_a_timeline_that_is_none():
    for text in ("(1", "1)", "((1))", "(1-)"):
        raises(ValueError, marbles, text, (), "")
        raises(ValueError, marbles, "", (), text)


def test_raises_returns_the_exception():
    def fail(e, *, option=0):
        if e:
            raise e

    error = ValueError(1)
    assert raises(ValueError, fail, error, option=1) is error
    assert raises((OSError, ValueError), fail, error) is error
    assert raises(Exception, fail, error) is error
    said = raises(AssertionError, raises, ValueError, fail, None)
    assert "raised nothing" in str(said)
    assert raises(TypeError, raises, ValueError, fail, TypeError("x")).args == ("x",)


def test_a_recorder_and_a_manual_clock_are_there_as_well():
    thing, sink, clock = OutputThing(), Recorder(), ManualClock(wall=5)
    thing.connect(sink)
    thing._dispatch_next(1)
    clock.sleep(10)
    assert (sink.events, sink.end, clock.now(), clock.wall(), clock.sleeps) == ([1], None, 10, 15, 1)
