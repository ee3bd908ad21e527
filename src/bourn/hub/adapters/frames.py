"""What a journal holds as a table of pandas or polars: `pip install 'bourn[data]'`.

    read_frame("bourn.db", sensor="lux")                        a pandas.DataFrame
    read_frame("bourn.db", library="polars")                    a polars.DataFrame

Columns: id (text), time (UTC, milliseconds), sensor (text), val: numbers where all values are numbers, else JSON text.
The whole result is in memory: `since` and `until` bound it.
"""

from __future__ import annotations

import json
from typing import Any

from bourn.spool.sqlite import read_journal


def read_frame(
    path: str,
    sensor: str | None = None,
    since: int | None = None,
    until: int | None = None,
    library: str = "pandas",
) -> Any:
    """The readings of the journal `path` with `since <= ts < until` (ms since 1970 UTC), in the order of the journal.

    JournalError where there is no journal; ImportError that says what to install.
    """
    if library not in ("pandas", "polars"):
        raise ValueError(f"library: 'pandas' or 'polars', not {library!r}")
    columns: dict[str, list[Any]] = {"id": [], "time": [], "sensor": [], "val": []}
    for reading in read_journal(path, sensor, since, until):
        columns["id"].append(reading.id)
        columns["time"].append(reading.ts)
        columns["sensor"].append(reading.sensor)
        columns["val"].append(reading.val)
    values = columns["val"]
    kinds = {type(value) for value in values}
    if not kinds <= {int, float}:
        columns["val"] = [json.dumps(value, ensure_ascii=False) for value in values]
    elif float in kinds:
        columns["val"] = [float(value) for value in values]
    return _pandas(columns) if library == "pandas" else _polars(columns)


def _pandas(columns: dict[str, list[Any]]) -> Any:
    try:
        import pandas as pd
    except ImportError as e:
        raise ImportError("a table of pandas needs pandas: pip install 'bourn[data]'") from e
    frame = pd.DataFrame(columns)
    frame["time"] = pd.to_datetime(frame["time"], unit="ms", utc=True)
    return frame


def _polars(columns: dict[str, list[Any]]) -> Any:
    try:
        import polars as pl
    except ImportError as e:
        raise ImportError("a table of polars needs polars: pip install 'bourn[data]'") from e
    frame = pl.DataFrame(columns, schema_overrides={"id": pl.String, "time": pl.Int64, "sensor": pl.String})
    return frame.with_columns(pl.col("time").cast(pl.Datetime("ms", "UTC")))
