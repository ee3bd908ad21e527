"""How many links there are file descriptors for, and how many farewells."""

from __future__ import annotations

import resource

RESERVE = 48  # descriptors at least, and an eighth of all, for what is no link: journal, repositories, page
FAREWELLS = 8  # links too many that may at least read so at their ease, all at once


def room_for_links(wanted: int) -> int:
    """Raise this process's limit as far as that takes and as it may; how many of the `wanted` links there is room for.

    Beyond it accept() would fail again and again, and everything else that opens a file with it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + max(RESERVE, wanted // 7)
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - max(RESERVE, soft // 8)))


def room_for_farewells() -> int:
    """How many links too many may be kept for a moment, until they have read that: out of an eighth of the reserve."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(FAREWELLS, max(RESERVE, soft // 8) // 8)


def is_scarce(descriptor: int) -> bool:
    """True if that one, opened just now, is out of the last three quarters of the reserve."""
    return descriptor >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 3 * RESERVE // 4  # the kernel gives the lowest
