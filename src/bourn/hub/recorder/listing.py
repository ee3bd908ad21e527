"""The catalogue as JSON: what programs get from `bourn record export` and from the page's API."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

from bourn.hub.recorder.catalogue import GONE, Catalogue, Row

MOST = 10_000  # files of one answer
_AGE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)")
_UNIT_MS = {"ms": 1, "": 1000, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIMES = ("at", "sealed_at", "archived_at", "done_at", "next_at")


def moment_of(text: str) -> int:
    """Milliseconds since 1970 of an age (2h) or a time (2026-01-31T12:00, UTC unless it says otherwise). ValueError."""
    age = _AGE.fullmatch(text.strip())
    if age:
        return int(time.time() * 1000 - float(age[1]) * _UNIT_MS[age[2]])
    try:
        moment = datetime.fromisoformat(text.strip())
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is neither an age like 2h nor a time like 2026-01-31T12:00") from None


def spoken(at: int) -> str:
    """Milliseconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def told(row: Row) -> dict[str, Any]:
    """All that is known of a file; what is not known is left out."""
    known = {name: value for name, value in row._asdict().items() if name not in ("id", "ending") and value is not None}
    for field in _TIMES:
        if known.get(field):
            known[field] = spoken(known[field])
    return {**known, "here": row.here if row.state not in ("verified", *GONE) else None}


def gaps_of(catalogue: Catalogue, low: int, high: int) -> list[dict[str, Any]]:
    """The gaps of a range of time."""
    return [{**gap._asdict(), "time": spoken(gap.at)} for gap in catalogue.gaps() if low <= gap.at < high]


def page_of(
    catalogue: Catalogue, low: int, high: int, state: str | None, after: int, limit: int
) -> tuple[list[Row], int | None]:
    """At most `limit` files that began in low <= at < high, by ids after `after`; where the next page begins."""
    where, values = "id > ? AND at >= ? AND at < ?", (after, low, high)
    if state is None:
        rows = catalogue.rows(where, *values, order="id", limit=limit + 1)
    else:
        rows = catalogue.rows(where + " AND state = ?", *values, state, order="id", limit=limit + 1)
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None
