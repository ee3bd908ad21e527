# heap: 96k
"""The device's log: two files of bounded size, and never without the last lines."""

import os

from bourn._compat.system import random_bytes
from bourn.device import log
from bourn.testing import FaultyFiles, ManualClock, PowerCut
from bourn.things import OutputThing, SensorEvent

# The lanes run at the same time.
NAME = "/tmp/bourn-test-log-%02x%02x%02x%02x" % tuple(random_bytes(4))


def clean():
    for name in (NAME, NAME + ".1"):
        try:
            os.remove(name)
        except OSError:
            pass


def lines(name=NAME):
    with open(name) as file:
        return file.read().split("\n")[:-1]


def test_stamps_over_leap_days_and_centuries():
    for seconds, text in (
        (0, "1970-01-01 00:00:00"),
        (951782399, "2000-02-28 23:59:59"),
        (951782400, "2000-02-29 00:00:00"),
        (1709251199, "2024-02-29 23:59:59"),
        (1709251200, "2024-03-01 00:00:00"),
        (1735689599, "2024-12-31 23:59:59"),
        (1735689600, "2025-01-01 00:00:00"),
        (4107542400, "2100-03-01 00:00:00"),
        (-1, "1969-12-31 23:59:59"),
    ):
        assert log.utc_stamp(seconds * 1000) == text, (seconds, log.utc_stamp(seconds * 1000))


def test_levels_and_format():
    clean()
    clock = ManualClock(0)
    one = log.Logger(NAME, clock=clock)
    one.debug("not this")
    one.info("a")
    clock.advance(1000)
    one.warn("b")
    one.set_level(log.Logger.ERROR)
    one.warning("nor this")
    one.error(3)
    one.close()
    assert lines() == [
        "1970-01-01 00:00:00 [INF] a",
        "1970-01-01 00:00:01 [WRN] b",
        "1970-01-01 00:00:01 [ERR] 3",
    ]
    one.error("closed")
    assert one.dropped == 1
    clean()


def test_two_files_of_bounded_size_without_a_gap():
    clean()
    one = log.Logger(NAME, max_len=200, clock=ManualClock(0))
    for i in range(100):
        one.info("message %3d" % i)
        sizes = [os.stat(name)[6] for name in (NAME, NAME + ".1") if name[5:] in os.listdir("/tmp")]
        assert max(sizes) <= 200, sizes
    one.close()
    both = lines(NAME + ".1") + lines()
    assert [int(line[-3:]) for line in both] == list(range(100 - len(both), 100))
    assert len(both) >= 6
    assert one.dropped == 0
    clean()


def test_the_log_of_the_last_start_goes_on():
    clean()
    for i in range(3):
        one = log.Logger(NAME, clock=ManualClock(0))
        one.info(i)
        one.close()
    assert [line[-1:] for line in lines()] == ["0", "", "1", "", "2"]  # an empty line where a run begins
    clean()


def test_a_line_longer_than_the_file_is_cut():
    clean()
    one = log.Logger(NAME, max_len=100, clock=ManualClock(0))
    one.info("x" * 500)
    one.info("short")
    one.close()
    assert os.stat(NAME + ".1")[6] == 100
    assert lines()[0][-5:] == "short"
    clean()


def test_a_full_disk_costs_lines_and_nothing_else():
    clean()
    files = FaultyFiles(full_after=2, torn=3)
    one = log.Logger(NAME, clock=ManualClock(0), files=files)
    one.info("kept")
    one.info("lost")
    assert one.dropped == 1
    files.full_after = None
    one.info("later")
    one.close()
    assert lines()[0][-4:] == "kept" and lines()[-1][-5:] == "later"
    clean()


def test_a_torn_line_stays_alone():
    clean()
    files = FaultyFiles(cut_after=4, torn=5)  # open, its folder, a line, half a line
    one = log.Logger(NAME, clock=ManualClock(0), files=files)
    one.info("whole")
    try:
        one.info("torn")
    except PowerCut:
        pass
    one = log.Logger(NAME, clock=ManualClock(0))
    one.info("after")
    one.close()
    assert [line[-5:] for line in lines()] == ["whole", "1970-", "after"]
    clean()


def test_arguments_are_formatted_only_where_they_are_written():
    class Costly:
        asked = 0

        def __str__(self):
            Costly.asked += 1
            return "costly"

    clean()
    one = log.Logger(NAME, clock=ManualClock(0))
    one.debug("%s", Costly())
    assert Costly.asked == 0
    one.info("%s is %d %%", Costly(), 5)
    one.info("100 %")  # no arguments: nothing to format
    one.warning("%d", "no number")  # the log goes on
    one.error("%s")
    one.close()
    assert Costly.asked == 1
    said = [line[26:] for line in lines()]
    assert said == ["costly is 5 %", "100 %", "%d ('no number',)", "%s"], said
    clean()


def test_an_exception_with_its_traceback():
    clean()
    one = log.Logger(NAME, clock=ManualClock(0))
    try:
        raise OSError(5, "the bus")
    except OSError as e:
        one.exception(e, "reading %s", "t1")
        one.exception(e)
    one.close()
    said = lines()
    assert said[0] == "1970-01-01 00:00:00 [ERR] reading t1" and said[1][:4] == "    "
    text = "\n".join(said)
    assert text.count("Traceback") == 2 and text.count("the bus") >= 2
    stamped = [line for line in said if line[:5] == "1970-"]
    assert len(stamped) == 2, "what follows in a message is indented"
    clean()


def test_secrets_are_not_written():
    clean()
    printed = []
    one = log.Logger(NAME, clock=ManualClock(0), interactive=True)
    log.print = printed.append
    try:
        one.redact("hay and oats", "", "k3y")
        one.warning("joining %s with %s", "barn", "hay and oats")
        one.info("mqtt://me:s3cr@t@broker:1883/t and http://plain/x?key=k3y and tcp://u@h:1")
        one.error("user@host is no URL")
        try:
            raise ValueError("k3y")
        except ValueError as e:
            one.exception(e)
    finally:
        del log.print
    one.close()
    text = "\n".join(lines())
    for secret in ("oats", "s3cr", "k3y", "u@h"):
        assert secret not in text and secret not in "\n".join(printed), (secret, text)
    assert "mqtt://***@broker:1883/t" in text and "tcp://***@h:1" in text and "user@host" in text
    clean()


def test_as_a_sink_of_a_flow():
    clean()
    one = log.Logger(NAME, clock=ManualClock(0))
    source = OutputThing()
    source.connect(one)
    source._dispatch_next(SensorEvent("t1", 5, 21.5))
    source._dispatch_error(OSError(5))
    other = OutputThing()
    other.connect(one)
    other._dispatch_completed()
    one.close()
    said = lines()
    assert "[INF]" in said[0] and "t1" in said[0] and "21.5" in said[0]
    assert "[ERR] OSError(5" in said[1] and said[2][-9:] == "completed"
    clean()


def test_the_program_has_one_log():
    clean()
    for function in (log.get_logger, lambda: log.initialize_logging(NAME, max_len=10)):
        try:
            function()
            raise AssertionError("no error")
        except (RuntimeError, ValueError):
            pass
    log.initialize_logging(NAME, max_len=1000, level=log.Logger.DEBUG)
    log.get_logger().debug("hello")
    try:
        log.initialize_logging(NAME)
        raise AssertionError("no error")
    except RuntimeError:
        pass
    log.close_logging()
    log.close_logging()
    assert lines()[0][-11:] == "[DBG] hello"
    clean()
