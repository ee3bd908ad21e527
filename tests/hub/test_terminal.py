"""A terminal that goes away takes nothing with it: the program goes on, and can still be ended in order."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bourn.spool.sqlite import read_journal

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("options", [[], ["--log-to-screen"]], ids=["quiet", "screen"])
def test_nobody_reads_any_more(tmp_path: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "bourn", "run", "--every", "0.05", "--num-sensors", "2", "--micropython", "none"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    program = subprocess.Popen(
        [*command, *options], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None and program.stderr is not None
        assert program.stdout.readline().startswith("Bourn")
        program.stdout.close()
        deadline = time.monotonic() + 60
        journal = tmp_path / "bourn.db"
        stored = 0
        while stored < 20 and time.monotonic() < deadline:
            time.sleep(0.1)
            stored = sum(1 for _ in read_journal(str(journal))) if journal.exists() else 0
        assert stored >= 20, "it goes on"
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=30) == 0
        assert program.stderr.read() == ""
    finally:
        program.kill()
    seqs: dict[str, list[int]] = {}
    for reading in read_journal(str(journal)):
        source, epoch, seq = reading.id.split(":")
        seqs.setdefault(source + epoch, []).append(int(seq))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seqs.values())
