"""A board, and `bourn board` in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(Path(__file__).resolve().parent)]
from fake_board import FakeBoard  # noqa: E402 - the same

import interpreters  # noqa: E402 - a folder beside, no package
from bourn.cli import main  # noqa: E402 - after the path


@pytest.fixture(scope="module")
def micropython() -> list[str]:
    """The command of the interpreter that is on the board."""
    lane = interpreters.lanes(get=False)["mpy-x64"]
    if lane["reason"]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the lane mpy-x64: {lane['reason']}")
        pytest.skip(lane["reason"])
    command: list[str] = lane["command"]
    return command


@pytest.fixture
def board(tmp_path: Path, micropython: list[str]) -> Iterator[FakeBoard]:
    with FakeBoard(tmp_path, micropython) as one:
        yield one


Bourn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bourn(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bourn:
    """`bourn board ...` in this process: (status, output, complaints)."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["board", *words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run
