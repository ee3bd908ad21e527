"""The order in which people expect names: s2 before s10, and no difference between upper and lower case."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"([0-9]+)")

Key = tuple[tuple[tuple[int, str] | str, ...], str]


def natural_key(name: str) -> Key:
    """What to sort names by. Two names that differ have different keys."""
    parts = _DIGITS.split(name.casefold())  # text and digits in turn, so that like is compared with like
    return tuple(_number(part) if i % 2 else part for i, part in enumerate(parts)), name


def _number(digits: str) -> tuple[int, str]:
    """Compares as the number does, however long it is."""
    digits = digits.lstrip("0")
    return len(digits), digits
