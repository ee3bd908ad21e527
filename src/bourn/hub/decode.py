"""DATA frames decoded and checked: the fast way for what is in order, reading by reading for what is not.

A reading that cannot be stored must not take its neighbours with it, nor block its outbox for ever: it is told apart
here, and the ingest puts it into the quarantine.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from bourn import wire

Row = tuple[int, Any, Any, Any]  # seq, sensor, ts, val

_decode = msgspec.json.Decoder(tuple[int, int, list[tuple[str, int, Any]]]).decode
_OTHERS = bytes(c for c in range(256) if c not in b'[]{}"')
_FLAT = bytes.maketrans(b"{}", b"[]")
_MAX = wire.MAX_INTEGER
_MAX_NAMES = 10_000

_names: dict[str, bool] = {}  # sensors' names seen lately, so that each is checked once


def decode_data(body: bytes) -> tuple[int, list[Row], bool]:
    """The first number, the rows, and whether some of them may not be storable (see `poison_reason`).

    FrameError when it is no DATA frame at all.
    """
    if deeper_than(body, wire.MAX_NESTING):
        raise wire.FrameError("nesting", f"arrays nested deeper than {wire.MAX_NESTING}")
    try:
        first, t0, readings = _decode(body)
        rows = [(first + i, sensor, t0 + dt, val) for i, (sensor, dt, val) in enumerate(readings)]
        suspicious = not all(map(_plain, rows))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        first, rows = _decode_patiently(body)
        suspicious = True
    if not rows or not 1 <= first <= _MAX - len(rows):
        raise wire.FrameError("shape", "a DATA frame without readings, or with a number that is none")
    return first, rows, suspicious


def deeper_than(body: bytes, limit: int) -> bool:
    """True if arrays and objects in `body` are nested deeper than `limit`; the fast form of `wire.nesting`.

    Keeps brackets and quotes only, then takes one level of brackets away at a time. The quotes of a string without
    brackets stand side by side and go; where one is left, brackets stand inside of a string, and the slow form counts.
    """
    if body.count(b"[") + body.count(b"{") <= limit:  # a frame of one reading, mostly
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    rest = body.translate(_FLAT, _OTHERS).replace(b'""', b"")
    if b'"' not in rest:
        for _ in range(limit):
            rest = rest.replace(b"[]", b"")
            if not rest:
                return False
    return bool(rest) and wire.nesting(body) > limit


def poison_reason(sensor: Any, ts: Any, val: Any) -> str | None:
    """Why this reading cannot be stored, or None if it can."""
    try:
        if not isinstance(sensor, str) or not wire.sensor_ok(sensor):
            return "the sensor's name is not allowed"
        if type(ts) is not int or not -_MAX <= ts <= _MAX:
            return "the time is not an integer of 64 bits"
        wire.check_value(val)
        json.dumps(val, ensure_ascii=False).encode()
    except ValueError as e:  # UnicodeEncodeError (half of a surrogate pair) is one
        return str(e)
    return None


def _plain(row: Row) -> bool:
    """True for what is certainly storable."""
    _, sensor, ts, val = row
    kind = type(val)
    return (
        (kind is float or (kind is int and -_MAX <= val <= _MAX) or kind is str or kind is bool or val is None)
        and -_MAX <= ts <= _MAX
        and _known_name(sensor)
    )


def _known_name(sensor: str) -> bool:
    ok = _names.get(sensor)
    if ok is None:
        if len(_names) > _MAX_NAMES:
            _names.clear()
        ok = _names[sensor] = wire.sensor_ok(sensor)
    return ok


def _integer(digits: str) -> int | float:
    """One of many digits as no integer: Python refuses to convert thousands of them, and no store takes thirty."""
    return int(digits) if len(digits) < 30 else math.inf


def _decode_patiently(body: bytes) -> tuple[int, list[Row]]:
    """A DATA frame with something in it that the fast decoder refuses, reading by reading: the good are kept."""
    try:
        first, t0, readings, *_ = json.loads(body, parse_int=_integer)  # more may follow, from later versions
        if type(first) is not int or type(t0) is not int or not isinstance(readings, list):
            raise ValueError("not what a DATA frame holds")
    except (ValueError, TypeError, RecursionError) as e:
        raise wire.FrameError("json", f"a DATA frame that cannot be read: {e}") from None
    rows: list[Row] = []
    for i, reading in enumerate(readings):
        if isinstance(reading, list) and len(reading) == 3 and type(reading[1]) is int:
            rows.append((first + i, reading[0], t0 + reading[1], reading[2]))
        else:
            rows.append((first + i, None, None, math.nan))
    return first, rows
