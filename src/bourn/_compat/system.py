"""What else differs between the interpreters, for those who need it."""

import gc
from os import urandom as random_bytes  # noqa: F401 - for others: `random_bytes(n)`

try:
    from binascii import crc32
except ImportError:  # an ESP8266
    from bourn._compat.crc import crc32  # noqa: F401 - for others

_HEAP = gc.mem_free() + gc.mem_alloc() if hasattr(gc, "mem_free") else 1 << 29
PIECE_BYTES = min(8192, _HEAP // 64)  # of readings that are held at once, on their way: what a small board can spare


def collect_early():
    """Let garbage be collected long before it fills the heap, where that can be said; for programs, not for modules.

    MicroPython collects when the heap is full. By then what is kept (the readings on their way, each a small tuple)
    lies spread between the garbage of 2 MB, and there is no room for a list of a thousand. Collected early it lies
    together.
    """
    if hasattr(gc, "threshold"):
        gc.threshold(min(65536, _HEAP // 8))


def runtime():
    """The interpreter's name and version, for people to read."""
    import sys

    return "%s %d.%d.%d" % ((sys.implementation.name,) + tuple(sys.implementation.version[:3]))
