"""A CSV file that has no torn line and no reading twice, also after a crash.

The cursor is the file's length, kept in the journal together with the place it stands for: on opening, what was
written behind it is cut off, and the journal gives it again.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from bourn._compat.files import Files
from bourn.hub.repositories import readings
from bourn.spool.sqlite import Entry, encode_value

COLUMNS = ("id", "time", "sensor", "value")


def format_time(ts: int) -> str:
    """`ts` (ms since 1970 UTC) as ISO 8601 with milliseconds, UTC; a time outside the calendar as the bare number."""
    try:
        return datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return str(ts)


class CsvFile:
    """`csv:PATH`: one line per reading (id, time, sensor, value); numbers as such, every other value as JSON."""

    keeps = True

    def __init__(self, path: str) -> None:
        self.path = path
        self.url = f"csv:{path}"
        self._file: BinaryIO | None = None
        self._length = 0

    def open(self, mark: str | None) -> None:
        """Cut off what no acknowledgement covers, and write the header into a new file. OSError."""
        self.close()
        file = self._file = open(self.path, "ab")  # noqa: SIM115 - open until close()
        size = file.tell()
        if mark is not None and int(mark) <= size:
            file.truncate(int(mark))
        else:  # a new file, or one that someone else made shorter or wrote into: a torn last line is ended
            if size and not _ends_with_newline(self.path):
                file.write(b"\r\n")
            if not file.tell():
                file.write((",".join(COLUMNS) + "\r\n").encode())
            file.flush()
        self._length = os.fstat(file.fileno()).st_size

    def write(self, entries: list[Entry]) -> str:
        """Append the readings; on disk when this returns."""
        assert self._file is not None
        text = io.StringIO()
        rows = csv.writer(text)
        for id, ts, sensor, val in readings(entries):
            rows.writerow((id, format_time(ts), sensor, encode_value(val)))
        data = text.getvalue().encode()
        self._file.write(data)
        self._file.flush()
        Files().sync(self._file)
        self._length += len(data)
        return str(self._length)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(
        self, sensor: str | None = None, since: int | None = None, until: int | None = None
    ) -> Iterator[tuple[str, int, str, Any]]:
        """The readings in the file, oldest first, with `ts` in ms since 1970 UTC."""
        with open(self.path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                ts = int(datetime.fromisoformat(row["time"]).timestamp() * 1000 + 0.5)
                if (
                    (sensor is None or row["sensor"] == sensor)
                    and (since is None or ts >= since)
                    and (until is None or ts < until)
                ):
                    yield row["id"], ts, row["sensor"], json.loads(row["value"])


def _ends_with_newline(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
