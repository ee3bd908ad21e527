"""CSV files as things."""

import csv
import os

import pytest

from bourn import OutputThing, SensorEvent
from bourn.hub.adapters.csv_rows import ByDay, BySize, CsvReader, CsvWriter
from bourn.testing import Recorder

DAY = 86_400_000
VALUES = [1, -2.5, "a,b", 'say "hi"', "two\nlines", None, True, [1, [2]], {"x": 1.5}, "é☃", 2**62]


def write(writer, events):
    thing = OutputThing()
    thing.connect(writer)
    for event in events:
        thing._dispatch_next(event)
    thing._dispatch_completed()
    assert thing.errors == 0


def read(path, **options):
    reader, recorder = CsvReader(path, **options), Recorder()
    reader.connect(recorder)
    while reader._observe():
        pass
    return recorder


def events(n, step=1000, start=1_700_000_000_123):
    return [SensorEvent(f"s{i % 3}", start + i * step, VALUES[i % len(VALUES)]) for i in range(n)]


def test_what_was_written_is_read_back(tmp_path):
    wanted = events(40)
    write(CsvWriter(tmp_path / "a.csv"), wanted)
    recorder = read(tmp_path / "a.csv")
    assert recorder.events == wanted and recorder.end == "completed"
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["time", "sensor", "value"] and rows[1] == ["2023-11-14T22:13:20.123Z", "s0", "1"]


def test_a_second_writer_goes_on_and_writes_no_second_header(tmp_path):
    write(CsvWriter(tmp_path / "a.csv"), events(2))
    write(CsvWriter(tmp_path / "a.csv"), events(2))
    assert read(tmp_path / "a.csv").events == events(2) * 2
    write(CsvWriter(tmp_path / "a.csv", append=False), events(1))
    assert read(tmp_path / "a.csv").events == events(1)


def test_a_torn_row_stays_alone(tmp_path):
    path = tmp_path / "a.csv"
    write(CsvWriter(path), events(2))
    os.truncate(path, path.stat().st_size - 3)
    write(CsvWriter(path), events(1))
    lines = path.read_text().splitlines()
    assert len(lines) == 4 and lines[3].startswith("2023-")


def test_rolling_by_size_keeps_a_bounded_number_of_bounded_files(tmp_path):
    path = tmp_path / "a.csv"
    wanted = [SensorEvent("s", i, i) for i in range(200)]
    write(CsvWriter(path, roll=BySize(500, keep=3)), wanted)
    names = sorted(os.listdir(tmp_path))
    assert names == ["a.csv", "a.csv.1", "a.csv.2", "a.csv.3"]
    assert all(os.stat(tmp_path / name).st_size <= 500 for name in names)
    kept = [e for name in reversed(names) for e in read(tmp_path / name).events]
    assert kept == wanted[-len(kept) :] and len(kept) > 30


def test_rolling_by_day_names_the_day_and_keeps_the_newest(tmp_path):
    wanted = events(10, step=DAY // 2, start=1_706_659_200_000)  # 2024-01-31
    write(CsvWriter(tmp_path / "lux.csv", roll=ByDay(keep=3)), wanted)
    (tmp_path / "lux-of-mine.csv").write_text("not ours")
    assert sorted(os.listdir(tmp_path)) == [
        "lux-2024-02-02.csv",
        "lux-2024-02-03.csv",
        "lux-2024-02-04.csv",
        "lux-of-mine.csv",
    ]
    assert read(tmp_path / "lux-2024-02-04.csv").events == wanted[-2:]


def test_a_wrong_row_fails_with_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time,sensor,value\r\n2024-01-31T00:00:00Z,s,1\r\nnonsense\r\n")
    recorder = read(path)
    assert len(recorder.events) == 1
    assert isinstance(recorder.end, ValueError) and "line 3" in str(recorder.end)
    path.write_text("")
    with pytest.raises(ValueError, match="no header"):
        CsvReader(path)


def test_a_value_that_is_no_json_is_refused_before_it_is_written(tmp_path):
    writer, thing = CsvWriter(tmp_path / "a.csv"), OutputThing()
    thing.connect(writer, policy="skip")
    for val in (float("nan"), object(), 1):
        thing._dispatch_next(SensorEvent("s", 0, val))
    assert thing.errors == 2 and writer.rows == 1


@pytest.mark.parametrize("wrong", [lambda: BySize(0), lambda: BySize(1, keep=0), lambda: ByDay(keep=0)])
def test_bounds_are_checked(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        wrong()
