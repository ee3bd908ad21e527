"""A flow as text and as Mermaid: whole, from wherever it is asked, the same each time."""

from bourn import OutputThing, SensorAsOutputThing, delta, map, merge, throttle, where
from bourn.testing import Recorder


class Sensor:
    sensor_id = "t1"


class Loop(OutputThing):
    """A sink that is a source."""

    def on_next(self, x):
        self._dispatch_next(x)


def hot(e):
    return e > 50


def celsius(e):
    return e


def lines(thing):
    return str(thing).split("\n")


def test_a_single_way_is_one_line():
    thing = SensorAsOutputThing(Sensor())
    assert lines(thing) == ["SensorAsOutputThing t1"]
    thing.pipe(where(hot), throttle(s=10), map(lambda x: x), Recorder())
    assert lines(thing) == ["SensorAsOutputThing t1 → where(hot) → throttle(10) → map(lambda) → Recorder"]


def test_a_fan_out_is_a_tree():
    thing = OutputThing()
    thing.pipe(where(hot), Recorder())
    chain = thing.pipe(map(celsius))
    chain.connect(Recorder())
    chain.connect(hot)
    thing.connect(Recorder())
    wanted = [
        "OutputThing",
        "├─ where(hot) → Recorder",
        "├─ map(celsius)",
        "│  ├─ Recorder",
        "│  └─ hot",
        "└─ Recorder",
    ]
    assert lines(thing) == wanted
    assert lines(chain) == wanted, "from any thing in it"


def test_a_chain_that_nothing_is_connected_to_is_drawn():
    thing = OutputThing()
    thing.connect(hot)
    chain = thing.pipe(map(celsius)).pipe(delta(0.5))
    assert lines(thing) == ["OutputThing → hot"]
    assert lines(chain) == ["OutputThing", "├─ hot", "└─ map(celsius) → delta(0.5)"]
    assert "n1 -.-> n3" in chain.to_mermaid()


def test_what_several_lead_to_is_drawn_once():
    one, two, sink = OutputThing(), OutputThing(), Recorder()
    chain = one.pipe(map(celsius), merge(two))
    chain.connect(sink)
    two.connect(sink)
    for thing in (one, chain):
        assert lines(thing) == [
            "OutputThing → map(celsius) → [3] merge → [5] Recorder",
            "OutputThing",
            "├─ [3]",
            "└─ [5]",
        ]
    assert len(lines(two)) == 4 and str(two).count("Recorder") == str(two).count("merge") == 1


def test_circles_end():
    loop = Loop()
    loop.pipe(where(hot), loop)
    assert lines(loop) == ["Loop → where(hot) → see Loop"]
    thing = OutputThing()
    thing.connect(loop)
    loop.connect(hot)
    assert lines(thing) == ["OutputThing → [2] Loop", "├─ where(hot) → [2]", "└─ hot"]


def test_long_arguments_are_cut():
    thing = OutputThing()
    thing.connect(hot)
    text = str(thing.pipe(map("x" * 500), delta(1.5)))
    assert len(text) < 80 and text.count("…") == 1 and "delta(1.5)" in text


def test_mermaid():
    thing = SensorAsOutputThing(Sensor())
    chain = thing.pipe(where(hot), map(celsius))
    chain.connect(Recorder())
    chain.connect(hot)
    wanted = """flowchart LR
    n1(["SensorAsOutputThing t1"])
    n2["where(hot)"]
    n3["map(celsius)"]
    n4[["Recorder"]]
    n5[["hot"]]
    n1 --> n2
    n2 --> n3
    n3 --> n4
    n3 --> n5"""
    assert thing.to_mermaid() == chain.to_mermaid() == wanted


def test_mermaid_takes_no_text_for_its_own():
    class Odd:
        sensor_id = 'a"]<b>#`\n-->&'

    label = SensorAsOutputThing(Odd()).to_mermaid().split("\n")
    assert label == ["flowchart LR", '    n1(["SensorAsOutputThing a#quot;]#lt;b#gt;#35;#96; --#gt;#amp;"])']


def test_a_drawing_changes_nothing():
    thing, sink = OutputThing(), Recorder()
    chain = thing.pipe(map(celsius))
    chain.connect(sink)
    thing._dispatch_next(1)
    emit = thing._emit
    for _ in range(2):
        assert str(chain) == "OutputThing → map(celsius) → Recorder"
    assert thing._emit is emit
    thing._dispatch_next(2)
    assert sink.events == [1, 2]
