"""Each operator over change, time and several things as one drawing; the finer points are in files of their own."""

from bourn import (
    SensorEvent,
    combine_latest,
    debounce,
    delta,
    distinct_until_changed,
    group_by,
    heartbeat,
    merge,
    outbox,
    pairwise,
    retry,
    sliding,
    throttle,
    timeout,
    tumbling,
    with_latest_from,
    zip,
)
from bourn.testing import marbles


def test_change():
    marbles("1245#", delta(2), "1-4-#")
    marbles("1122|", distinct_until_changed(), "1-2-|")
    marbles("123|", pairwise(), "-ab|", values={"a": (1, 2), "b": (2, 3)})


def test_pace():
    marbles("1234--5|", throttle(s=2), "1-2-4-5|")
    marbles("12|", throttle(s=3), "1-(2|)")
    marbles("12#", throttle(s=3), "1-(2#)")
    marbles("12---3|", debounce(s=2), "---2--(3|)")
    marbles("12---3#", debounce(s=2), "---2--(3#)")


def test_silence():
    marbles("1----2|", heartbeat(s=2), "1-1-12|")
    marbles("1----2|", timeout(s=2), "1-#")
    marbles("-----", timeout(s=2), "--#")
    marbles("1----2|", timeout(s=2, event=0), "1-0-02|")


def test_joining():
    marbles("1--2|", merge, "1342-|", others=("-34--|",))
    marbles("1--2-", merge, "13#", others=("-3#",))
    marbles("12--|", zip, "--ab|", others=("--34-|",), values={"a": (1, 3), "b": (2, 4)})
    drawn = {"a": (1, 3), "b": (2, 3), "c": (2, 4)}
    marbles("1-2-|", combine_latest, "-abc|", others=("-3-4|",), values=drawn)
    marbles("1-2-5|", with_latest_from, "--b-c|", others=("-3-4-|",), values={"b": (2, 3), "c": (5, 4)})


def test_windows():
    marbles("1423|", tumbling("max", count=2), "-4-3|")
    marbles("142#", tumbling("min", count=2), "-1-(2#)")
    marbles("13-5-|", tumbling("mean", s=2), "--2-5|")
    marbles("1423|", sliding("max", count=2), "1443|")
    marbles("41-2|", sliding("max", s=2), "44-2|")
    marbles("41-2---|", sliding("max", s=4, every=2), "--4-4-2|")


def test_groups():
    marbles("1236|", group_by(lambda x: x % 2, lambda key: delta(4)), "12-6|")
    marbles("1234|", group_by(lambda x: x % 2, lambda key: tumbling("last", count=9)), "----(34|)")


def test_again():
    marbles("1#--2|", retry(times=5), "1---2|")
    marbles("1#--#2", retry(times=1), "1---#")
    values = {"a": SensorEvent("t1", 0, 21), "b": SensorEvent("t1", 9, 22)}
    marbles("a-b|", outbox(ram=200), "a-b|", values=values)
