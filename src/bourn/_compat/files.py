"""The real file system, on both interpreters."""


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

    def lock(self, path):
        """Keep other programs out of the folder `path` until the result is closed; OSError when one is in it.

        None where there is nobody to keep out: a board runs one program.
        """
        import os

        from bourn._compat.sockets import unix_address, unix_socket

        try:
            lock = unix_socket()
        except ValueError:
            return None
        # A name that is no file: the kernel forgets it with the process, and both interpreters respect it.
        _, inode, device = os.stat(path)[:3]
        try:
            lock.bind(unix_address("\0bourn-folder-%d-%d" % (device, inode)))
        except OSError as e:
            lock.close()
            if e.args[0] != 98:  # EADDRINUSE
                return None  # no such names here
            raise OSError(16, "another program uses the outbox %s; give each its own" % path)  # EBUSY
        return lock
