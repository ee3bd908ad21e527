"""What happens to the hub, one line each, on standard error: as text for people or as JSON for programs.

    told(logging.WARNING, "refused", "link s1 (127.0.0.1:5123): the frame is too long", source="s1", code="size")

Every event has a name that stays the same over versions (docs/running.md lists them). Secrets are taken out of whatever
is said (`redact`), and however often an event happens, at most BURST lines of it are written at once and then one every
REFILL_S; the next line says how many were left out.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
BURST = 20  # lines of one event at once; a fleet of twenty that comes back is told one by one
REFILL_S = 1.0  # after which one more may be written
LINE = 2000  # characters of one line's text: what a peer says may be long

_SECRETS = (
    (re.compile(r"(\w[\w+.-]*://)\S*:\S*@"), r"\1***@"),  # also of a password with / or @ in it
    (re.compile(r"\b(token|password|passwd|secret|key|sig)=[^\s&#'\"]+", re.IGNORECASE), r"\1=***"),
    (re.compile(r"\b(Bearer|Basic) [\w.~+/=-]+", re.IGNORECASE), r"\1 ***"),
)

_logger = logging.getLogger("bourn.hub")
logging.getLogger("bourn").addHandler(logging.NullHandler())  # a program that sets up no logging hears nothing


def told(level: int, event: str, text: str, **fields: Any) -> None:
    """Write the line of one event, if that level is asked for; from any thread, and it never raises."""
    if _logger.isEnabledFor(level):
        _logger.log(level, "%s", text, extra={"event": event, "fields": fields})


def redact(text: str) -> str:
    """`text` without passwords in URLs and without tokens."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def start_log(level: str, form: str, stream: Any = None) -> logging.Handler:
    """From now on what `told` says goes to `stream` (standard error). One of LEVELS and of FORMATS."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(Bound())
    logger = logging.getLogger("bourn")
    logger.setLevel(level.upper())
    logger.addHandler(handler)
    logger.propagate = False
    return handler


class Bound(logging.Filter):
    """Lets BURST lines of an event through, then one every REFILL_S; counts the others, and the next line tells."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._buckets: dict[str, tuple[float, float, int]] = {}  # event: (lines it may write, when that was, left out)

    def filter(self, record: logging.LogRecord) -> bool:
        """Called by the handler, which holds its lock."""
        event = getattr(record, "event", record.name)  # names are few: they stand in the code
        now = self._clock()
        room, since, left_out = self._buckets.get(event, (float(BURST), now, 0))
        room = min(BURST, room + (now - since) / REFILL_S)
        if room < 1:
            self._buckets[event] = (room, now, left_out + 1)
            return False
        self._buckets[event] = (room - 1, now, 0)
        record.__dict__["left_out"] = left_out
        return True


class TextLines(logging.Formatter):
    """`2026-01-31 12:00:00.123 WARNING refused: link s1 (127.0.0.1:5123): the frame is too long`"""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in it."""
        time_ = datetime.fromtimestamp(record.created).isoformat(sep=" ", timespec="milliseconds")
        left_out = getattr(record, "left_out", 0)
        more = f" ({left_out} before it left out)" if left_out else ""
        return f"{time_} {record.levelname:<7} {_event(record)}: {_text(record)}{more}"


class JsonLines(logging.Formatter):
    """`{"time": ..., "level": "warning", "event": "refused", "text": ..., and the event's own fields}`"""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object."""
        time_ = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time_,
            "level": record.levelname.lower(),
            "event": _event(record),
            "text": _text(record),
        }
        if getattr(record, "left_out", 0):
            line["left_out"] = getattr(record, "left_out", 0)
        for name, value in getattr(record, "fields", {}).items():
            line.setdefault(name, redact(value) if isinstance(value, str) else value)
        return json.dumps(line, default=str)


def _event(record: logging.LogRecord) -> str:
    return str(getattr(record, "event", "internal"))


def _text(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        text += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
    line = redact(text)[:LINE]
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
