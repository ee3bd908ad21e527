"""`bourn plan`: its figures are those of the table in FACTS, its picture is the README's, its errors one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bourn.cli import main, plan

ROOT = Path(__file__).resolve().parent.parent.parent

# Intervals (s) and wake-ups a day: a timer each, ThingFlow's rule, exact, with 10 % and with 50 % of slack.
TABLE = (
    ((30, 45, 60), 6240, 4800, 3840, 3840, 2880),
    ((10, 15, 25), 17856, 17856, 12672, 12672, 8640),
    ((7, 11, 13), 26844, 26844, 24254, 21578, 12342),
    ((20, 30, 50, 70), 10162, 10162, 6665, 6665, 4320),
    ((59, 60, 61), 4321, 4321, 4249, 3498, 1597),
)


def bourn(*arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bourn.cli", "plan", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": str(columns)},
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
def test_the_table(row: tuple[tuple[int, ...], int, int, int, int, int]) -> None:
    intervals = [s * 1000 for s in row[0]]
    assert round(plan.timers_a_day(intervals)) == row[1]
    assert round(plan.thingflow_a_day(intervals)) == row[2]
    assert plan.bourn_a_day(intervals, [0] * len(intervals)) == row[3]
    for percent, expected in ((10, row[4]), (50, row[5])):
        a_day = plan.bourn_a_day(intervals, [plan.slack_of(f"{percent}%", ms) for ms in intervals])
        # the table leaves out a window that is still open at midnight
        assert expected <= a_day <= expected + 1


def test_thingflow_s_rule() -> None:
    # the same interval together; a factor or multiple with the smallest such; everything else on a tick of its own
    assert plan.thingflow_phases([3000, 3000]) == [0, 0]
    assert plan.thingflow_phases([3000, 4500, 6000]) == [0, 1, 0]
    assert plan.thingflow_phases([4000, 6000, 2000, 12000]) == [0, 1, 0, 0]
    assert plan.thingflow_phases([700, 1100, 1300]) == [0, 1, 2]


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_it_fits_the_terminal_and_uses_it(columns: int) -> None:
    words = ("7s", "45s", "500ms", "--slack", "10%", "--battery-mah", "2600")
    lines = bourn(*words, columns=columns).stdout.splitlines()
    assert len(lines) == 13
    widest = max(map(len, lines))
    assert min(columns - 6, 130) <= widest <= columns
    axis, rows = lines[0], lines[1:5]
    assert {len(row) for row in rows} == {len(axis) - len("20 s")}, "a row ends below the last number of the axis"


def test_the_readme_s_picture_is_what_the_command_draws() -> None:
    done = bourn("30s", "45s", "60s")
    assert done.returncode == 0, done.stderr
    drawn = "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())
    assert f"```text\n{drawn}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_picture_marks_what_runs() -> None:
    rows = dict(plan.timeline([30_000, 45_000], [0, 0]))
    assert [i for i, c in enumerate(rows["every 30 s"]) if c == "|"] == [0, 15, 30, 45, 60]
    assert len([c for c in rows["wake-ups"] if c == "█"]) == 6
    assert rows[""].split() == ["0", "30", "60", "90", "120", "s"]
    late = dict(plan.timeline([30_000, 60_000], [0, 29_000]))
    assert [i for i, c in enumerate(late["wake-ups"]) if c == "█"] == [0, 15, 30, 45, 60]
    assert set(dict(plan.timeline([1], [0]))["wake-ups"]) == {"█"}


def test_a_battery() -> None:
    # 1000 mAh at 3.6 V are 12,960 J; 100 wake-ups of 1 J a day and nothing else: 129.6 days
    assert plan.Battery(1000, 3.6, 1000, 0).days(100) == pytest.approx(129.6)
    # 1 mAh at 1 V and 1000 uA: an hour
    assert plan.Battery(1, 1, 0, 1000).days(0) == pytest.approx(1 / 24)
    assert plan.Battery(1000, 3.6, 0, 0).days(100) == float("inf")
    done = bourn("30s", "45s", "60s", "--battery-mah", "2600", "--wake-mj", "50", "--sleep-ua", "10")
    assert re.search(r"Bourn, exact +160 +3,840 +177 days", done.stdout), done.stdout
    assert "2600 mAh at 3.7 V, 50 mJ a wake-up, 10 µA asleep" in done.stdout


def test_slack_as_a_part_and_as_a_time() -> None:
    assert [plan.slack_of(text, 30_000) for text in ("10%", "0%", "0", "5s", "99.9%")] == [3000, 0, 0, 5000, 29_970]
    exact, slack = (bourn("7", "11", "13", "--slack", text).stdout for text in ("0", "50%"))
    assert "slack" not in exact
    assert re.search(r"Bourn, 50% slack +514 +12,343 ", slack), slack


def test_intervals_from_a_millisecond_to_years() -> None:
    done = bourn("1ms", "365d")
    assert re.search(r"Bourn, exact +3,600,000 +86,400,000", done.stdout), done.stdout
    assert re.search(r"ThingFlow's rule +refuses", done.stdout)
    done = bourn("365d")
    assert re.search(r"Bourn, exact +\S+ +0.00", done.stdout), done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["x"],
        ["0"],
        ["0.1ms"],
        ["10000d"],
        ["-5"],
        ["30s", "--slack", "30s"],
        ["30s", "--slack", "100%"],
        ["30s", "--slack", "-1%"],
        ["30s", "--slack", "some"],
        ["30s", "--battery-mah", "-1"],
        ["30s", "--battery-mah", "nan"],
        ["30s", "--battery-mah", "100", "--sleep-ua", "-1"],
        ["30s"] * 51,
        [],
    ],
    ids=lambda arguments: " ".join(arguments)[:40] or "nothing",
)
def test_what_can_t_be_is_said_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["plan", *arguments])
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    assert said.err.startswith("bourn: "), said.err
    assert said.err.count("\n") == 1, said.err


def test_help_has_an_example() -> None:
    done = bourn("--help")
    assert done.returncode == 0
    assert "bourn plan 30s 45s 60s --slack 10%" in done.stdout
