"""What else differs between the interpreters, for those who need it."""


def random_bytes(n):
    """`n` bytes from the operating system's random source."""
    from os import urandom

    return urandom(n)


def threads():
    """The module `threading`, all of it; where there is none, or a stub, ImportError says what to do."""
    try:
        import threading

        threading.Condition  # noqa: B018 - a 15-line threading of the public index has none
    except (ImportError, AttributeError):
        raise ImportError("no complete `threading` here: put Bourn's stdlib/threading.py into the board's /lib")
    return threading


class _Alone:
    """The lock of a port without threads: nobody else is there."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def new_lock():
    """A lock for `with`, as small as this port has it."""
    try:
        from _thread import allocate_lock
    except ImportError:
        return _Alone()
    return allocate_lock()


def runtime():
    """The interpreter's name and version, for people to read."""
    import sys

    return "%s %s" % (sys.implementation.name, ".".join([str(v) for v in sys.implementation.version[:3]]))
