"""A journal as a table."""

import os
import sys

import pytest

from bourn.hub.adapters.frames import read_frame
from bourn.spool.sqlite import JournalError, SqliteSpool

if os.environ.get("CI") != "true":
    pytest.importorskip("pandas")
    pytest.importorskip("polars")


@pytest.fixture
def journal(tmp_path):
    def make(*rows):
        path = str(tmp_path / "bourn.db")
        spool = SqliteSpool(path)
        for seq, (sensor, ts, val) in enumerate(rows, 1):
            spool.append(("source", "00112233aabbccdd", seq, sensor, ts, val))
        spool.sync()
        spool.close()
        return path

    return make


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("values", "wanted", "kind"),
    [
        ([1, 2, 3], [1, 2, 3], "int64"),
        ([1, 2.5, 3], [1.0, 2.5, 3.0], "float64"),
        ([1, "a", None], ["1", '"a"', "null"], ""),
        ([[1], {"x": True}, True], ["[1]", '{"x": true}', "true"], ""),
    ],
)
def test_columns_and_types(journal, library, values, wanted, kind):
    frame = read_frame(journal(*[("lux", 1_700_000_000_123 + i, v) for i, v in enumerate(values)]), library=library)
    assert list(frame.columns) == ["id", "time", "sensor", "val"]
    assert list(frame["val"]) == wanted and kind in str(frame["val"].dtype).lower()
    assert next(iter(frame["id"])) == "source:00112233aabbccdd:1"
    assert [str(t)[:23] for t in frame["time"]][1] == "2023-11-14 22:13:20.124"
    assert next(iter(frame["time"])).utcoffset().total_seconds() == 0


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_part_or_nothing(journal, library):
    path = journal(("a", 10, 1), ("b", 20, 2), ("a", 30, 3))
    assert list(read_frame(path, sensor="a", library=library)["val"]) == [1, 3]
    assert list(read_frame(path, since=20, until=30, library=library)["val"]) == [2]
    empty = read_frame(path, sensor="none", library=library)
    assert len(empty) == 0 and list(empty.columns) == ["id", "time", "sensor", "val"]


def test_errors_are_in_clear_words(journal, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="'pandas' or 'polars'"):
        read_frame("x", library="numpy")
    with pytest.raises(JournalError):
        read_frame(str(tmp_path / "missing.db"))
    path = journal(("a", 1, 1))
    for library in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ImportError, match=r"pip install 'bourn\[data\]'"):
            read_frame(path, library=library)
