"""The real file system, on both interpreters."""

import os


class Files:
    """The real file system, as the few calls that a spool needs; a faulty one of the same shape is in `bourn.testing`.

    Errors are the interpreter's OSError. `remove(path)` removes a file; `rename(old, new)` puts `old` in the place of
    `new` in one step, and `new` may exist.
    """

    remove = staticmethod(os.remove)
    rename = staticmethod(getattr(os, "replace", os.rename))  # MicroPython's `rename` replaces

    def open(self, path, mode):
        """Open `path` unbuffered (binary): what `write` returned has left this process."""
        return open(path, mode, buffering=0)

    # What a port does not take is gone when this file has been loaded.
    if hasattr(os, "fdatasync"):

        def sync(self, file):
            """When this returns, what was written to `file` is on the medium."""
            os.fdatasync(file.fileno())

    elif hasattr(os, "fsync"):

        def sync(self, file):
            """The same where there is no cheaper way."""
            os.fsync(file.fileno())

    else:

        def sync(self, file):
            """MicroPython: flush() is fsync() on the unix port and commits the file on littlefs."""
            file.flush()

    if hasattr(os, "fsync"):

        def sync_folder(self, path):
            """When this returns, names created, renamed or removed in the folder `path` are on the medium."""
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    else:

        def sync_folder(self, path):
            """MicroPython: the unix port opens a folder and syncs it."""
            try:
                folder = open(path, "rb")
            except OSError:
                return  # a board's littlefs or FAT commits names itself and cannot open a folder
            folder.flush()
            folder.close()

    def listdir(self, path):
        """The names in the folder `path`, sorted."""
        return sorted(os.listdir(path))

    def size(self, path):
        """The length of the file `path` in bytes."""
        return os.stat(path)[6]
