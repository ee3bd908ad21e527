"""Options that bound the journal, for every command that writes one."""

from __future__ import annotations

from typing import Annotated

import typer

from bourn.cli.config import parse_duration
from bourn.spool.sqlite import Limits

_UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "KB": 1e3, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_DEFAULT = Limits()

JournalBytes = Annotated[
    str | None,
    typer.Option(
        help="Size that the journal's files may reach, like 500MB; default: 10GB.", metavar="SIZE", show_default=False
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        help="Remove readings that came longer ago than this, like 30d, and that every repository has; "
        "default: keep them.",
        metavar="TIME",
        show_default=False,
    ),
]
Hold = Annotated[
    str | None,
    typer.Option(
        help="Wait so much longer for a repository that is behind; default: 7d.", metavar="TIME", show_default=False
    ),
]
WhenFull = Annotated[
    str,
    typer.Option(help="What a full journal does: block (acknowledges nothing until there is room) or drop_oldest."),
]


def parse_size(text: str) -> int:
    """Bytes of "1000000", "500MB", "10GB" or "2GiB". ValueError."""
    number, factor = text.strip(), 1.0
    for name, bytes_each in _UNITS.items():
        if number.endswith(name):
            number, factor = number[: -len(name)], bytes_each
            break
    try:
        size = float(number) * factor
    except ValueError:
        size = -1
    if not 1 <= size < 1e18:
        raise ValueError(f"{text!r} is no size; write 500MB, 10GB or 2GiB")
    return int(size)


class LimitError(ValueError):
    """The journal cannot be bounded like that; the text names the option."""


def limits_of(journal_bytes: str | None, keep: str | None, hold: str | None, when_full: str) -> Limits:
    """What these options ask for. LimitError, naming the option."""
    option = ""
    try:
        option = "--journal-bytes"
        limits = _DEFAULT if journal_bytes is None else _DEFAULT._replace(bytes=parse_size(journal_bytes))
        limits.check()
        option = "--keep"
        limits = limits._replace(keep_s=parse_duration(keep) if keep else None)
        option = "--hold"
        limits = limits._replace(hold_s=parse_duration(hold)) if hold else limits
        option = "--when-full"
        limits = limits._replace(when_full=when_full.replace("-", "_"))
        limits.check()
    except ValueError as e:
        raise LimitError(f"{option}: {e}") from e
    return limits
