"""Which sensors to run: from options, from a TOML file, from what this machine has (CPython)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from bourn import wire
from bourn.device.sensors import KINDS

Tables = TypeVar("Tables")

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


class ConfigError(ValueError):
    """The settings are wrong; the text says where and what to do."""


class SensorSettings(msgspec.Struct, forbid_unknown_fields=True):
    """One sensor: a table of the configuration file."""

    name: str
    kind: str = "random"
    every: str | float | None = None
    options: dict[str, Any] = {}
    keys: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    sensor: list[SensorSettings]
    hub: dict[str, Any] = {}  # these two are read by hub_config.py
    repository: list[Any] = []


def parse_duration(text: str) -> float:
    """Seconds of "5", "0.5", "500ms", "5s", "2m", "1h" or "1d". ValueError."""
    number, unit = text.strip(), "s"
    for name in _UNITS:
        if number.endswith(name):
            number, unit = number[: -len(name)], name
            break
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = -1
    if not 0.001 <= seconds < 1e10:
        raise ValueError(f"{text!r} is no time from 1ms on; write 5, 500ms, 30s, 5m or 1h")
    return seconds


def demo_sensors(num: int) -> list[SensorSettings]:
    """`num` random sensors, s1, s2, ..."""
    return [SensorSettings(f"s{i + 1}") for i in range(num)]


def system_sensors() -> list[SensorSettings]:
    """One sensor for each thing that can be read of this machine."""
    from bourn.device.sensors.system import temperatures

    kinds = [kind for kind, row in KINDS.items() if row[0] == "system"]
    if not temperatures():
        kinds.remove("temperature")
    return [SensorSettings(kind, kind) for kind in kinds]


def read_toml(path: str, convert: Callable[[dict[str, Any]], Tables]) -> Tables:
    """What `convert` makes of a TOML file's tables. ConfigError, naming the file and the place."""
    try:
        with open(path, "rb") as file:
            return convert(tomllib.load(file))
    except OSError as e:
        raise ConfigError(f"{path} cannot be read: {e.strerror}; give the path of a TOML file to --config") from e
    except UnicodeDecodeError as e:
        raise ConfigError(f"{path} is not written in UTF-8: {e.reason} at byte {e.start}; save it as UTF-8") from e
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as e:
        raise ConfigError(f"{path}: {e}; see docs/config.md") from e


def load_config(path: str) -> list[SensorSettings]:
    """The sensors of the TOML file `path`. ConfigError, naming the file and the place."""
    sensors = read_toml(path, lambda tables: msgspec.convert(tables, _File)).sensor
    if not sensors:
        raise ConfigError(f'{path} has no sensor; add one with [[sensor]] and name = "s1"')
    names = [s.name for s in sensors]
    for sensor in sensors:
        if not wire.source_ok(sensor.name):
            raise ConfigError(f"{path}: the name {sensor.name!r} is not made of A-Z a-z 0-9 _ . - (1 to 64)")
        if names.count(sensor.name) > 1:
            raise ConfigError(f"{path}: two sensors are called {sensor.name!r}; rename one")
        if sensor.kind not in KINDS:
            raise ConfigError(
                f"{path}: there is no sensor of kind {sensor.kind!r}; the kinds are {', '.join(sorted(KINDS))}"
            )
        if sensor.every is not None:
            try:
                sensor.every = parse_duration(str(sensor.every))
            except ValueError as e:
                raise ConfigError(f"{path}: sensor {sensor.name}: {e}") from e
    return sensors
