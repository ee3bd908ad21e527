"""`bourn plot`: a picture of what is stored, in bounded memory, with every spike."""

import os
import struct
import xml.etree.ElementTree
import zlib
from pathlib import Path

import pytest
from repository_kinds import Bench

from bourn.cli import main
from bourn.cli.plot import _Line

if os.environ.get("CI") != "true":
    pytest.importorskip("matplotlib")


@pytest.fixture
def journal(tmp_path: Path) -> str:
    bench = Bench(tmp_path / "j.db")
    bench.put(*[i % 17 + 0.5 for i in range(500)], source="a", sensor="a")
    bench.put(*[bool(i % 3) for i in range(50)], source="a2", sensor="flag")
    bench.put(*[[i, -i] for i in range(50)], source="a10", sensor="pair")
    bench.put("open", None, source="b", sensor="door")
    bench.stop()
    return bench.path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["plot", *arguments])
    return int(str(end.value.code))


def test_a_picture_with_a_panel_for_each_sensor(journal: str, tmp_path: Path) -> None:
    assert run(journal, "--out", str(tmp_path / "p.svg")) == 0
    text = (tmp_path / "p.svg").read_text()
    xml.etree.ElementTree.fromstring(text)
    comments = [line for line in text.splitlines() if line.strip().startswith("<!--")]
    for words in ("a2/flag", "a10/pair", "500 readings", "not drawn: b/door", "600 readings of 3 sensors"):
        assert any(words in line for line in comments), words


def test_a_png_is_not_empty(journal: str, tmp_path: Path) -> None:
    out = tmp_path / "p.png"
    assert run(journal, "--out", str(out), "--sensor", "a") == 0
    data = out.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1430 and 300 < height < 400
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    pixels = zlib.decompressobj().decompress(data[at + 4 : at + 4 + length])
    assert len(set(pixels)) > 50


def test_every_spike_is_kept_in_bounded_memory() -> None:
    line = _Line(0, 10_000_000)
    for ts in range(0, 10_000_001, 50):
        line.add(ts, 100.0 if ts in (5_000_050, 7_777_700) else ts % 3)
    points = line.points()
    assert [ts for ts, value in points if value == 100.0] == [5_000_050, 7_777_700]
    assert len(points) <= 4 * 4001
    assert points == sorted(points) and points[0][0] == 0 and points[-1][0] == 10_000_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("j.db", "--out", "p.gif"), "ends with .png"),
        (("j.db", "--sensor", "none"), "no numbers to draw"),
        (("j.db", "--out", "no/p.png"), "cannot be written"),
        (("none.db",), "there is no journal none.db"),
    ],
)
def test_what_cannot_be_drawn(
    journal: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert words in line
