"""A batch as a Parquet file, by pyarrow (extra `parquet`).

Columns: source, epoch, seq, sensor, time (milliseconds, UTC), number (null where the value is none), value (exactly, as
JSON). Gaps stand in the file's metadata under "bourn.gaps", as JSON [[source, epoch, first, last, reason], ...].
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from bourn.hub.repositories.batch_files import Form, Row
from bourn.spool.sqlite import Entry


def load_form() -> Form:
    """The form. ImportError says what to install."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as e:
        raise ImportError("Parquet needs pyarrow: pip install 'bourn[parquet]'") from e

    json_of = msgspec.json.Encoder().encode
    words = pa.dictionary(pa.int32(), pa.string())
    columns = [
        pa.field("source", words, nullable=False),
        pa.field("epoch", words, nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("sensor", words, nullable=False),
        pa.field("time", pa.timestamp("ms", "UTC"), nullable=False),
        pa.field("number", pa.float64()),
        pa.field("value", pa.string(), nullable=False),
    ]

    def encode(entries: list[Entry]) -> bytes:
        rows = [e for e in entries if len(e) == 6]
        gaps = [[e[1].source, e[1].epoch, *e[2]] for e in entries if len(e) == 3]
        data: list[list[Any]] = [
            [e[1].source for e in rows],
            [e[1].epoch for e in rows],
            [e[2] for e in rows],
            [e[3] for e in rows],
            [e[4] for e in rows],
            [float(e[5]) if type(e[5]) in (int, float) else None for e in rows],
            [json_of(e[5]).decode() for e in rows],
        ]
        schema = pa.schema(columns, {"bourn.gaps": json.dumps(gaps)} if gaps else None)
        arrays = [pa.array(values, field.type) for values, field in zip(data, columns, strict=True)]
        out = io.BytesIO()
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), out, compression="zstd")
        return out.getvalue()

    def decode(data: bytes) -> Iterator[Row]:
        table = pq.read_table(io.BytesIO(data))
        times = table["time"].cast(pa.int64())
        wanted = [table[name].to_pylist() for name in ("source", "epoch", "seq", "sensor", "value")]
        for source, epoch, seq, sensor, value, ts in zip(*wanted, times.to_pylist(), strict=True):
            yield f"{source}:{epoch}:{seq}", ts, sensor, json.loads(value)

    return Form("parquet", encode, decode)
