"""The only file that knows there are two interpreters; it asks for capabilities, never for platform names.

Everything here is imported on use where it is not needed by the smallest board, so that
`things` and `scheduler` cost no more than the tick functions.
"""

import time

try:  # MicroPython: a counter that wraps (at 2**30 ms on 32-bit) and a function that knows how
    ticks_ms = time.ticks_ms
    ticks_diff = time.ticks_diff
    sleep_ms = getattr(time, "sleep_ms")  # noqa: B009 - CPython's stubs do not know it
except AttributeError:  # CPython: a counter that does not wrap

    def ticks_ms():
        """Monotonic milliseconds."""
        return time.monotonic_ns() // 1000000

    def ticks_diff(later, earlier):
        """Milliseconds from `earlier` to `later`."""
        return later - earlier

    def sleep_ms(ms):
        """Sleep for `ms` milliseconds."""
        time.sleep(ms / 1000)


def sleep_long(ms):
    """Sleep for `ms` milliseconds without polling: on MicroPython's unix port `sleep_ms` wakes 1600 times a second."""
    if ms < 10:
        sleep_ms(ms)
    else:
        time.sleep(ms / 1000)


# Seconds between 1970-01-01 and the port's own epoch (some boards count from 2000-01-01).
_EPOCH_S = 946684800 if time.gmtime(0)[0] == 2000 else 0


def wall_ms():
    """Milliseconds since 1970-01-01 UTC by the system's wall clock, as an integer."""
    if hasattr(time, "time_ns"):
        return time.time_ns() // 1000000 + _EPOCH_S * 1000
    return (int(time.time()) + _EPOCH_S) * 1000


def random_bytes(n):
    """`n` bytes from the operating system's random source."""
    from os import urandom

    return urandom(n)


def print_exception(e, file=None):
    """Write the traceback of `e` to `file` (default: stderr)."""
    import sys

    if hasattr(sys, "print_exception"):
        sys.print_exception(e, file or sys.stderr)
    else:
        import traceback

        traceback.print_exception(e, file=file or sys.stderr)


def runtime():
    """The interpreter's name and version, for people to read."""
    import sys

    return "%s %s" % (sys.implementation.name, ".".join([str(v) for v in sys.implementation.version[:3]]))


class Files:
    """The real file system, as the few calls that a spool needs; a faulty one of the same shape is in `bourn.testing`.

    Errors are the interpreter's OSError.
    """

    def open(self, path, mode):
        """Open `path` unbuffered (binary): what `write` returned has left this process."""
        return open(path, mode, buffering=0)

    def sync(self, file):
        """When this returns, what was written to `file` is on the medium."""
        import os

        if hasattr(os, "fdatasync"):
            os.fdatasync(file.fileno())
        elif hasattr(os, "fsync"):
            os.fsync(file.fileno())
        else:  # MicroPython: flush() is fsync() on the unix port and commits the file on littlefs
            file.flush()

    def sync_folder(self, path):
        """When this returns, names created, renamed or removed in the folder `path` are on the medium."""
        import os

        if hasattr(os, "fsync"):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        else:
            try:
                folder = open(path, "rb")  # the unix port opens a folder and syncs it
            except OSError:
                return  # a board's littlefs or FAT commits names itself and cannot open a folder
            folder.flush()
            folder.close()

    def rename(self, old, new):
        """Put `old` in the place of `new` in one step; `new` may exist."""
        import os

        if hasattr(os, "replace"):
            os.replace(old, new)
        else:
            os.rename(old, new)

    def remove(self, path):
        """Remove the file `path`."""
        import os

        os.remove(path)

    def listdir(self, path):
        """The names in the folder `path`, sorted."""
        import os

        return sorted(os.listdir(path))

    def size(self, path):
        """The length of the file `path` in bytes."""
        import os

        return os.stat(path)[6]

    def make_folder(self, path):
        """Make the folder `path` and its parents where they are missing."""
        import os

        made = ""
        for part in path.split("/"):
            made += part
            if made:
                try:
                    os.stat(made)
                except OSError:
                    os.mkdir(made)
            made += "/"
