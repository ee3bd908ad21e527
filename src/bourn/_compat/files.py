"""The real file system, on both interpreters: the few calls that a spool or a log needs.

This module is what they take as `files` by default; an object with the same functions that fails when it is to is in
`bourn.testing`. Errors are the interpreter's OSError.
"""

import os
from os import remove  # noqa: F401 - remove(path) removes a file

# rename(old, new) puts `old` in the place of `new` in one step, and `new` may exist: MicroPython's own does.
rename = getattr(os, "replace", os.rename)

_open = open


def open(path, mode):
    """Open `path` unbuffered (binary): what `write` returned has left this process."""
    return _open(path, mode, buffering=0)


# What a port does not take is gone when this file has been loaded.
if hasattr(os, "fdatasync"):

    def sync(file):
        """When this returns, what was written to `file` is on the medium."""
        os.fdatasync(file.fileno())

elif hasattr(os, "fsync"):

    def sync(file):
        """The same where there is no cheaper way."""
        os.fsync(file.fileno())

else:

    def sync(file):
        """MicroPython: flush() is fsync() on the unix port and commits the file on littlefs."""
        file.flush()


if hasattr(os, "fsync"):

    def sync_folder(path):
        """When this returns, names created, renamed or removed in the folder `path` are on the medium."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

else:

    def sync_folder(path):
        """MicroPython: the unix port opens a folder and syncs it."""
        try:
            folder = _open(path, "rb")
        except OSError:
            return  # a board's littlefs or FAT commits names itself and cannot open a folder
        folder.flush()
        folder.close()


def listdir(path):
    """The names in the folder `path`, sorted."""
    return sorted(os.listdir(path))


def size(path):
    """The length of the file `path` in bytes."""
    return os.stat(path)[6]
