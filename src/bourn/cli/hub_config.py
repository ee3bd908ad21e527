"""A hub as a TOML file describes it: options in the table [hub], and what takes the readings in [[repository]].

Every option of the command may stand in [hub], spelled with _; what the command line says comes first.
"""

from __future__ import annotations

from typing import Any

import msgspec
import typer

from bourn.cli.config import ConfigError, read_toml

NOT_THERE = {"config", "help", "seconds"}  # options that say how this one run is meant


class RepositorySettings(msgspec.Struct, forbid_unknown_fields=True):
    """One repository: a table of the file."""

    url: str
    start: int | str | None = msgspec.field(default=None, name="from")


class _Tables(msgspec.Struct):
    """What of the file is the hub's; `[[sensor]]` is read elsewhere."""

    hub: dict[str, Any] = {}
    repository: list[RepositorySettings] = []


def load_repositories(path: str | None) -> list[RepositorySettings]:
    """The repositories that the file names. ConfigError."""
    if path is None:
        return []
    found = _load(path).repository
    for one in found:
        if isinstance(one.start, str) and one.start not in ("now", "oldest"):
            raise ConfigError(f"{path}: from = {one.start!r} is neither now nor oldest nor a place, which is a number")
    return found


def use_config(context: typer.Context, path: str | None) -> str | None:
    """Let the file's [hub] be the defaults of the command's other options. ConfigError.

    The callback of `--config`, which has to be eager: it comes before the other options.
    """
    if path is None:
        return path
    params = {param.name: param for param in context.command.params if param.name not in NOT_THERE}
    given = {name.replace("-", "_"): value for name, value in _load(path).hub.items()}
    for name, value in given.items():
        if name not in params:
            known = ", ".join(sorted(str(n) for n in params))
            raise ConfigError(f"{path}: `bourn {context.info_name}` has no option {name}; [hub] may hold {known}")
        if getattr(params[name], "multiple", False) and not isinstance(value, list):
            given[name] = [value]
    context.default_map = {**(context.default_map or {}), **given}
    return path


def _load(path: str) -> _Tables:
    def convert(tables: dict[str, Any]) -> _Tables:
        strange = set(tables) - {"hub", "repository", "sensor"}
        if strange:
            raise ConfigError(
                f"{path}: there is no table [{min(strange)}]; there are hub, repository and sensor (docs/config.md)"
            )
        return msgspec.convert(tables, _Tables)

    return read_toml(path, convert)
