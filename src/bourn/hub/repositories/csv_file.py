"""A CSV file that has no torn line and no reading twice, also after a crash.

The cursor is the file's length, kept in the journal together with the place it stands for: on opening, what was
written behind it is cut off, and the journal gives it again. With it goes the CRC of what stands before: of a file that
somebody else has put there nothing is cut off.
"""

from __future__ import annotations

import csv
import io
import json
import os
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, BinaryIO

from bourn._compat import files
from bourn.hub.repositories import readings
from bourn.spool.sqlite import Entry, encode_value

COLUMNS = ("id", "time", "sensor", "value")
_HEADER = (",".join(COLUMNS) + "\r\n").encode()
TAIL = 4096  # bytes before the cursor by which the file is known again
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def format_time(ts: int) -> str:
    """`ts` (ms since 1970 UTC) as ISO 8601 with milliseconds, UTC; a time outside the calendar as the bare number."""
    second, ms = divmod(ts, 1000)
    text = _format_second(second)
    return f"{text}.{ms:03}Z" if text else str(ts)


@lru_cache(maxsize=1024)  # neighbours share it; most of a line's time went into this
def _format_second(second: int) -> str | None:
    try:
        return (_1970 + timedelta(seconds=second)).isoformat()[:19]
    except OverflowError:
        return None


def parse_time(text: str) -> int:
    """The `ts` that `format_time` was given."""
    try:
        return (datetime.fromisoformat(text) - _1970) // _MS
    except ValueError:
        return int(text)


class CsvFile:
    """`csv:PATH`: one line per reading (id, time, sensor, value); numbers as such, every other value as JSON."""

    keeps = True

    def __init__(self, path: str) -> None:
        self.path = path
        self.url = f"csv:{path}"
        self._file: BinaryIO | None = None
        self._length = 0
        self._tail = b""

    def open(self, mark: str | None) -> None:
        """Cut off what no acknowledgement covers, and write the header into a new file. OSError."""
        self.close()
        file = self._file = open(self.path, "ab")  # noqa: SIM115 - open until close()
        size = file.tell()
        if mark is not None and _is_of(self.path, size, mark):
            file.truncate(int(mark.split()[0]))
        else:  # a new file, or one that someone else made shorter, wrote into or put there: a torn last line is ended
            if not size or (size < len(_HEADER) and _HEADER.startswith(_before(self.path, size, size))):
                if size:
                    file.truncate(0)
                file.write(_HEADER)
                files.sync_folder(os.path.dirname(os.path.abspath(self.path)))
            elif _before(self.path, size, 1) != b"\n":
                file.write(b"\r\n")
            file.flush()
        self._length = os.fstat(file.fileno()).st_size
        self._tail = _before(self.path, self._length, TAIL)

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
        files.sync(self._file)
        self._length += len(data)
        self._tail = (self._tail + data)[-TAIL:]
        return f"{self._length} {zlib.crc32(self._tail):08x}"

    def refuse_repeats(self, hub: str) -> None:
        """ValueError when there are readings in the file: one that came again could not be recognised."""
        if self._length > len(_HEADER):
            raise ValueError(f"{self.path} holds readings, which would be there twice; choose another file")

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def read(
        self, sensor: str | None = None, since: int | None = None, until: int | None = None
    ) -> Iterator[tuple[str, int, str, Any]]:
        """The readings in the file, oldest first, with `ts` in ms since 1970 UTC."""
        with open(self.path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                ts = parse_time(row["time"])
                if (
                    (sensor is None or row["sensor"] == sensor)
                    and (since is None or ts >= since)
                    and (until is None or ts < until)
                ):
                    yield row["id"], ts, row["sensor"], json.loads(row["value"])


def _before(path: str, place: int, n: int) -> bytes:
    """At most `n` bytes of a file, up to the place."""
    with open(path, "rb") as file:
        file.seek(max(0, place - n))
        return file.read(min(n, place))


def _is_of(path: str, size: int, mark: str) -> bool:
    """True if what `write` said of the file is true of this one."""
    length, *crc = mark.split()
    if int(length) > size:
        return False
    return not crc or f"{zlib.crc32(_before(path, int(length), TAIL)):08x}" == crc[0]
