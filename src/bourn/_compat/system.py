"""What else differs between the interpreters, for those who need it."""


def random_bytes(n):
    """`n` bytes from the operating system's random source."""
    from os import urandom

    return urandom(n)


def collect_early():
    """Let garbage be collected long before it fills the heap, where that can be said; for programs, not for modules.

    MicroPython collects when the heap is full. By then what is kept (the readings on their way, each a small tuple)
    lies spread between the garbage of 2 MB, and there is no room for a list of a thousand. Collected early it lies
    together.
    """
    import gc

    if hasattr(gc, "threshold"):
        gc.threshold(min(65536, (gc.mem_free() + gc.mem_alloc()) // 8))


def runtime():
    """The interpreter's name and version, for people to read."""
    import sys

    return "%s %s" % (sys.implementation.name, ".".join([str(v) for v in sys.implementation.version[:3]]))
