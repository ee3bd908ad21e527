"""Readings in the terminal, one line each."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import TextIO

from bourn.spool.sqlite import Entry

LINES = 50  # of one batch; a flood is summed up, since nobody could read it


class Screen:
    """`screen:`: prints local time, source and sensor, value. What it cannot keep up with is counted in a line."""

    keeps = False
    url = "screen:"

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout

    def open(self, mark: str | None) -> None:
        """Nothing to prepare."""

    def write(self, entries: list[Entry]) -> None:
        """Print the newest of the entries."""
        lines = []
        if len(entries) > LINES:
            lines.append(f"… {len(entries) - LINES} readings more than can be shown are in the journal")
        lines += [_line(entry) for entry in entries[-LINES:]]
        text = "\n".join(lines) + "\n"
        try:
            try:
                self._out.write(text)
            except UnicodeEncodeError:  # a terminal that knows few characters
                self._out.write(text.encode(self._out.encoding, "backslashreplace").decode(self._out.encoding))
            self._out.flush()
        except BrokenPipeError:  # `bourn run | head`: nobody reads any more, and the hub goes on all the same
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())

    def close(self) -> None:
        """Nothing to release."""


def _line(entry: Entry) -> str:
    if len(entry) == 3:
        _, stream, gap = entry
        return f"{'':12}  {stream.source:<12}  {gap.last - gap.first + 1} readings are lost: {gap.reason}"
    _, stream, _, sensor, ts, val = entry
    try:
        time = datetime.fromtimestamp(ts / 1000).strftime("%H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):
        time = str(ts)
    name = sensor if sensor == stream.source else f"{stream.source}/{sensor}"
    return f"{time}  {name:<12}  {json.dumps(val, ensure_ascii=False)}"
