"""A hub from a TOML file: what it says is done, what the command line says comes first, what is wrong is told."""

import contextlib
import re
from pathlib import Path

import pytest
from processes import csv_ids, hub, journal_ids, sensors, until, url_of

from bourn.cli import main

FILE = """
[hub]
network-in-flight = 3
in_flight = 7
csv_file = "all.csv"

[[repository]]
url = "sqlite:other.db"
from = "oldest"

[[repository]]
url = "csv:more.csv"
"""


def test_what_the_file_says_is_done(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(FILE)
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(hub(tmp_path, "--config", "hub.toml", "--csv-file", "mine.csv"))
        stack.enter_context(sensors(tmp_path, url_of(one), "--num-sensors", "1", "--every", "50ms"))
        until(lambda: (tmp_path / "more.csv").exists() and len(csv_ids(tmp_path / "more.csv")) > 5, "readings")
        one.interrupt()
        assert one.ended() == 0
    ids = journal_ids(tmp_path)
    assert csv_ids(tmp_path / "more.csv") == csv_ids(tmp_path / "mine.csv") == ids
    assert not (tmp_path / "all.csv").exists(), "the command line comes first"
    assert journal_ids(tmp_path, "other.db") == ids


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[hub]\nlisten_at = 1", "no option listen_at"),
        ("[hub]\nin_flight = 'many'", "in-flight"),
        ("[[repository]]\nurl = 'csv:x'\nform = 'y'", "form"),
        ("[[repository]]\nurl = 'csv:x'\nfrom = 'noon'", "neither now nor oldest"),
        ("[[repositories]]\nurl = 'csv:x'", r"no table \[repositories\]"),
        ("[[repository]]\nurl = 'cvs:x'", "no repository 'cvs:x'"),
        ("[hub", "docs/config.md"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hub.toml").write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["hub", "--config", "hub.toml", "--listen", "tcp://127.0.0.1:0", "--for", "1"])
    assert end.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(words, line), line
    assert not (tmp_path / "bourn.db").exists()
