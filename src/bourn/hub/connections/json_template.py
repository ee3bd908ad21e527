"""How the messages of foreign devices are read: which source and sensor a topic names, where value and time stand.

    mqtt+json://broker:1883/sensors/{source}/{sensor}?value=data.temperature&time=ts

No I/O: a URL in, then topics and payloads in, readings or a reason out.

`value` may be repeated: then each value is a reading of its own, whose sensor is called after the value's field too
(kitchen.temperature). A path is names of fields and numbers of elements, with dots between; without `value` the whole
payload is the value. Without `time` a reading has the time at which the hub got it. `id` is where the device says which
message this is: what comes twice under one id is taken once.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from bourn import wire
from bourn.hub.connections.broker import MESSAGE_BYTES, Address
from bourn.hub.decode import deeper_than, poison_reason

EXAMPLE = "mqtt+json://127.0.0.1:1883/sensors/{source}/{sensor}?value=temperature"
UNITS = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000_001}  # of a time that is a number, in milliseconds
VALUES = 32  # of one message
WINDOW = 1000  # messages taken and not acknowledged, unless the URL says otherwise
LARGEST_WINDOW = 60_000  # MQTT can number no more
OPTIONS = ("value", "time", "time_unit", "id", "source", "sensor", "window", "ca")
ID_CHARACTERS = 128

_PLACE = re.compile(r"\{(source|sensor)\}")
_json = msgspec.json.Decoder().decode
_MISSING = object()


class Refusal(Exception):
    """A message cannot be read: `code` names the kind, the text says why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Template:
    """One URL, understood. ValueError, saying what is wrong with it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        given = _options(parts.query)
        if parts.scheme not in ("mqtt+json", "mqtts+json") or parts.hostname is None or parts.fragment:
            raise ValueError(f"the URL of a broker whose devices publish JSON looks like {EXAMPLE}")
        tls = parts.scheme == "mqtts+json"
        user, password = (unquote(word) if word is not None else None for word in (parts.username, parts.password))
        port = parts.port or (8883 if tls else 1883)  # ValueError from urllib where it is no port
        self.broker = Address(parts.hostname, port, tls, user, password, given.pop("ca", [None])[-1])
        self.topic = unquote(parts.path.removeprefix("/"))
        self._values = [_path(value) for value in given.pop("value", [])]
        self._time = _path(given.pop("time")[-1]) if "time" in given else None
        self._id = _path(given.pop("id")[-1]) if "id" in given else None
        unit = given.pop("time_unit", ["s"])[-1]
        if unit not in UNITS:
            raise ValueError(f"there is no time_unit {unit!r}; use {', '.join(UNITS)}, or leave it out: s")
        if len(self._values) > VALUES:
            raise ValueError(f"at most {VALUES} values can be taken of a message, not {len(self._values)}")
        self._unit = UNITS[unit]
        self._fixed: dict[str, str] = {n: given.pop(n)[-1] for n in ("source", "sensor") if n in given}
        self.window = _window(given.pop("window", [str(WINDOW)])[-1])
        self._levels = self._read_topic()
        self.filter = "/".join("+" if _PLACE.fullmatch(level) else level for level in self._levels)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.url = f"{parts.scheme}://{host}:{port}/{self.topic}"  # holds no secret

    def _read_topic(self) -> list[str]:
        levels = self.topic.split("/")
        places = [match[1] for level in levels if (match := _PLACE.fullmatch(level))]
        for level in levels:
            if level != "+" and not _PLACE.fullmatch(level) and (not level or set(level) & set("+#{}\0")):
                raise ValueError(
                    f"{level!r} cannot stand in a topic here: use words, +, {{source}} and {{sensor}} as whole levels"
                )
        for name, ok in (("source", wire.source_ok), ("sensor", wire.sensor_ok)):
            if places.count(name) + (name in self._fixed) != 1:
                raise ValueError(f"the {name} has to be named once: by {{{name}}} in the topic, or by {name}=NAME")
            if name in self._fixed and not ok(self._fixed[name]):
                raise ValueError(f"{self._fixed[name]!r} is not allowed as the name of a {name}")
        return levels

    def names(self, topic: str) -> tuple[str, str]:
        """The source and the sensor that a topic names, checked. Refusal."""
        found = dict(self._fixed)
        for level, word in zip(self._levels, topic.split("/"), strict=False):  # the broker has matched the rest
            if place := _PLACE.fullmatch(level):
                found[str(place[1])] = word
        source, sensor = found.get("source", ""), found.get("sensor", "")
        if not wire.source_ok(source) or not wire.sensor_ok(sensor):
            raise Refusal("name", f"{topic[:200]!r} holds a name that is not allowed")
        return source, sensor

    def readings(self, sensor: str, payload: bytes, now: int) -> list[tuple[str, int, Any]]:
        """(sensor, milliseconds since 1970, value) of everything wanted in a payload, storable. Refusal."""
        return self.read(sensor, payload, now)[1]

    def read(self, sensor: str, payload: bytes, now: int) -> tuple[str | int | None, list[tuple[str, int, Any]]]:
        """What the message is called by its device (None: it has no name), and its readings as above. Refusal."""
        if len(payload) > MESSAGE_BYTES:
            raise Refusal("size", f"{len(payload)} bytes are more than {MESSAGE_BYTES}")
        if deeper_than(payload, wire.MAX_NESTING):
            raise Refusal("json", f"arrays nested deeper than {wire.MAX_NESTING}")
        try:
            told = _json(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise Refusal("json", f"not JSON: {e}") from None
        ts = now if self._time is None else self._moment(told)
        if not self._values:
            found = [(sensor, told)]
        elif len(self._values) == 1:
            found = [(sensor, val) for val in [_at(told, self._values[0])] if val is not _MISSING]
        else:
            found = [(f"{sensor}.{p[-1]}", val) for p in self._values if (val := _at(told, p)) is not _MISSING]
        if not found:
            raise Refusal("value", f"no value at {' or '.join('.'.join(p) for p in self._values)}")
        for name, val in found:
            if reason := poison_reason(name, ts, val):
                raise Refusal("value", f"{name}: {reason}")
        return self._identity(told), [(name, ts, val) for name, val in found]

    def _identity(self, told: Any) -> str | int | None:
        if self._id is None:
            return None
        identity = _at(told, self._id)
        if type(identity) not in (str, int) or len(str(identity)) > ID_CHARACTERS:
            raise Refusal("id", f"no id (a number or a short text) at {'.'.join(self._id)}")
        return identity

    def _moment(self, told: Any) -> int:
        assert self._time is not None
        at = _at(told, self._time)
        try:
            if isinstance(at, str):
                when = datetime.fromisoformat(at)
                ms = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000
            elif type(at) in (int, float):
                ms = at * self._unit
            else:
                raise Refusal("time", f"no time at {'.'.join(self._time)}")
            if not math.isfinite(ms) or abs(ms) > wire.MAX_INTEGER // 2:
                raise ValueError("out of range")
        except (ValueError, OverflowError) as e:
            raise Refusal("time", f"{str(at)[:80]!r} is no time: {e}") from None
        return int(ms)


def _options(query: str) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS or not value:
            raise ValueError(f"{name}={value}: after the ? of this URL there may be {', '.join(OPTIONS)}, with a value")
        given.setdefault(name, []).append(value)
    return given


def _window(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_WINDOW:
        raise ValueError(f"window is a number of messages from 1 to {LARGEST_WINDOW}, not {text!r}")
    return int(text)


def _path(text: str) -> list[str]:
    path = text.split(".")
    if not all(path):
        raise ValueError(f"{text!r} is no path into JSON; write data.temperature, or readings.0.value")
    return path


def _at(told: Any, path: list[str]) -> Any:
    for step in path:
        if isinstance(told, dict) and step in told:
            told = told[step]
        elif isinstance(told, list) and step.isdecimal() and int(step) < len(told):
            told = told[int(step)]
        else:
            return _MISSING
    return told
