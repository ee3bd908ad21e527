"""`bourn read`: stored readings as a table, as CSV or as JSON lines."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from bourn.cli.progress import reading
from bourn.hub.repositories.csv_file import COLUMNS, format_time
from bourn.spool.sqlite import StoredReading, encode_value, read_journal


def print_readings(path: str, sensor: str | None, since: int | None, until: int | None, format: str) -> None:
    """Print the readings of the journal `path` to standard output as they are read, however many there are."""
    with reading(f"reading {path}", wanted=not sys.stdout.isatty()) as progressed:
        _print(read_journal(path, sensor, since, until, progressed), format)


def _print(readings: Iterator[StoredReading], format: str) -> None:
    if format != "table" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # of files, whatever the terminal can show
    if format == "table":
        _table(readings)
    elif format == "csv":
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(COLUMNS)
        for r in readings:
            rows.writerow((r.id, format_time(r.ts), r.sensor, encode_value(r.val)))
    else:
        for r in readings:
            line = {"id": r.id, "time": format_time(r.ts), "sensor": r.sensor, "value": r.val}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _table(readings: Iterator[StoredReading]) -> None:
    """Lines of fixed columns: they can be read while they come, and cut with the tools everyone has."""
    write = sys.stdout.write
    first = next(readings, None)
    if first is None:
        write("no readings\n")
        return
    write(f"{'TIME':<23}  {'SENSOR':<16}  {'VALUE':<20}  ID\n")
    for r in chain((first,), readings):
        try:
            time = datetime.fromtimestamp(r.ts / 1000).isoformat(sep=" ", timespec="milliseconds")
        except (ValueError, OverflowError, OSError):
            time = str(r.ts)
        value = json.dumps(r.val, ensure_ascii=False)
        write(f"{time:<23}  {r.sensor:<16}  {value:<20}  {r.id}\n")
