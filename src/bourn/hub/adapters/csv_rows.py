"""CSV files as things: a reader, and a writer that can begin a new file by size or by day.

    thing.pipe(CsvWriter("out.csv"))
    thing.pipe(CsvWriter("out.csv", roll=BySize(10_000_000, keep=5)))     out.csv, out.csv.1 (older), ...
    thing.pipe(CsvWriter("lux.csv", roll=ByDay(keep=30)))                 lux-2024-01-31.csv, ...

A row is flushed to the operating system when `on_next` returns; it is on the disk when the system says so. (The hub's
repository `csv:PATH` is the one that survives a power cut without a gap.)
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

from bourn.hub.repositories.csv_file import format_time
from bourn.things import OutputThing, SensorEvent


class Mapping(Protocol):
    """How an event becomes a row and comes back."""

    header: list[str]

    def to_row(self, event: Any) -> list[Any]:
        """The columns of `event`."""

    def to_event(self, row: list[str]) -> Any:
        """The event of a row. ValueError where it is none."""


class SensorEventMapping:
    """time (ISO 8601, ms, UTC), sensor, value (numbers as such, everything else as JSON)."""

    header = ["time", "sensor", "value"]  # noqa: RUF012 - the Protocol's attribute, never changed

    def to_row(self, event: SensorEvent) -> list[Any]:
        """The columns of `event`."""
        return [format_time(event.ts), event.sensor_id, json.dumps(event.val, allow_nan=False)]

    def to_event(self, row: list[str]) -> SensorEvent:
        """The event of a row."""
        if len(row) != len(self.header):
            raise ValueError(f"{len(row)} columns instead of {', '.join(self.header)}: {row!r}")
        time, sensor, value = row
        ts = int(time) if re.fullmatch(r"-?\d+", time) else round(datetime.fromisoformat(time).timestamp() * 1000)
        return SensorEvent(sensor, ts, json.loads(value))


class BySize:
    """A new file before the current one would exceed `max_bytes`; at most `keep` older ones, PATH.1 the newest."""

    def __init__(self, max_bytes: int, keep: int = 5) -> None:
        if max_bytes < 1 or keep < 1:
            raise ValueError(f"max_bytes and keep must be at least 1, not {max_bytes}, {keep}")
        self.max_bytes = max_bytes
        self.keep = keep

    def name(self, path: Path, event: Any) -> Path:
        """The file for `event`."""
        return path

    def full(self, size: int, more: int) -> bool:
        """Whether a file of `size` bytes has no room for `more`."""
        return size + more > self.max_bytes

    def retire(self, path: Path) -> None:
        """Make room for a new file under this name."""
        for n in range(self.keep - 1, 0, -1):
            older = Path(f"{path}.{n}")
            if older.exists():
                older.replace(f"{path}.{n + 1}")
        path.replace(f"{path}.1")

    def clean(self, path: Path) -> None:
        """`retire` has replaced the oldest already."""


class ByDay:
    """A file per day of the events (UTC), named NAME-YYYY-MM-DD.csv; the newest `keep` stay, all without `keep`."""

    def __init__(self, keep: int | None = None) -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        self.keep = keep

    def name(self, path: Path, event: Any) -> Path:
        """The file for `event`, which has `ts` in milliseconds."""
        day = datetime.fromtimestamp(event.ts / 1000, UTC)
        return path.with_name(f"{path.stem}-{day:%Y-%m-%d}{path.suffix}")

    def full(self, size: int, more: int) -> bool:
        """A day has room for all its events."""
        return False

    def retire(self, path: Path) -> None:
        """Never asked: no file is full."""

    def clean(self, path: Path) -> None:
        """Remove the oldest files beyond `keep`."""
        if self.keep is not None:
            pattern = re.compile(rf"{re.escape(path.stem)}-\d{{4}}-\d\d-\d\d{re.escape(path.suffix)}")
            days = sorted(name for name in os.listdir(path.parent) if pattern.fullmatch(name))
            for name in days[: -self.keep]:
                (path.parent / name).unlink()


class _Never(BySize):
    """One file for ever."""

    def __init__(self) -> None:
        super().__init__(1)

    def full(self, size: int, more: int) -> bool:
        return False


class CsvWriter:
    """A sink that appends a row for each event; a new file begins with the header.

    `append=False` begins the file anew. OSError where it cannot be written; the row that failed may be torn, and the
    next one begins on a line of its own.
    """

    def __init__(
        self, path: str | Path, mapping: Mapping | None = None, roll: BySize | ByDay | None = None, append: bool = True
    ) -> None:
        self.path = Path(path)
        self.mapping = mapping or SensorEventMapping()
        self.rows = 0
        self._roll = roll or _Never()
        self._append = append
        self._name: Path | None = None
        self._file: TextIO | None = None
        self._size = 0
        self._torn = False

    def on_next(self, event: Any) -> None:
        """Append the row of `event`."""
        text = _line(self.mapping.to_row(event))
        name = self._roll.name(self.path, event)
        if self._file is None or name != self._name:
            self._open(name)
        elif self._roll.full(self._size, len(text.encode())):
            self.close()
            self._roll.retire(name)
            self._open(name)
        self._write(text)
        self.rows += 1

    def begin(self) -> None:
        """Open the file before the first event; by size or for ever only, for a day is that of an event."""
        self._open(self.path)

    def on_completed(self) -> None:
        """Close the file."""
        self.close()

    def on_error(self, e: Exception) -> None:
        """Close the file: the error is its source's."""
        self.close()

    def close(self) -> None:
        """Close the file; a later event opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, name: Path) -> None:
        self.close()
        if not self._append and self._name is None:
            name.unlink(missing_ok=True)
        self._file = open(name, "a", newline="", encoding="utf-8")  # noqa: SIM115 - open until close()
        self._name = name
        self._size = os.fstat(self._file.fileno()).st_size
        if self._size:
            self._torn = not _ends_with_newline(name)
        else:
            self._write(_line(self.mapping.header))
            self._roll.clean(self.path)

    def _write(self, text: str) -> None:
        assert self._file is not None
        if self._torn:
            text = "\r\n" + text
        self._torn = True
        self._file.write(text)
        self._file.flush()
        self._torn = False
        self._size += len(text.encode())


class CsvReader(OutputThing):
    """Emits the next row's event whenever it is observed; completes at the end, fails at the first row that is none."""

    def __init__(self, path: str | Path, mapping: Mapping | None = None, header: bool = True) -> None:
        super().__init__()
        self.path = Path(path)
        self.mapping = mapping or SensorEventMapping()
        self._file = open(path, newline="", encoding="utf-8")  # noqa: SIM115 - open until the end
        self._rows: Iterator[list[str]] = csv.reader(self._file)
        self._ended = False
        if header and next(self._rows, None) is None:
            self.close()
            raise ValueError(f"{path} is empty: it has no header row")

    def close(self) -> None:
        """Read no more."""
        self._ended = True
        self._file.close()

    def _observe(self) -> bool:
        if self._ended:
            return False
        try:
            row = next(self._rows, None)
            event = None if row is None else self.mapping.to_event(row)
        except (ValueError, csv.Error, OSError) as e:
            line = self._rows.line_num  # type: ignore[attr-defined]  # of csv.reader
            self.close()
            self._dispatch_error(ValueError(f"{self.path}, line {line}: {e}"))
            return False
        if row is None:
            self.close()
            self._dispatch_completed()
            return False
        self._emit(event)
        return True


def _line(row: list[Any]) -> str:
    made: list[str] = []
    csv.writer(_Appender(made)).writerow(row)
    return made[0]


class _Appender:
    def __init__(self, made: list[str]) -> None:
        self.write = made.append


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
