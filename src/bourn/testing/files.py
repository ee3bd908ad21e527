"""A file system that fails at a chosen moment, for tests of what is durable."""

from bourn._compat import files as real


class Files:
    """The real file system as an object, to inherit from: every call is that of the real one."""

    def open(self, path, mode):
        """A file, unbuffered."""
        return real.open(path, mode)

    def sync(self, file):
        """When this returns, what was written to `file` is on the medium."""
        real.sync(file)

    def sync_folder(self, path):
        """When this returns, the names in the folder `path` are on the medium."""
        real.sync_folder(path)

    def rename(self, old, new):
        """Put `old` in the place of `new`, in one step."""
        real.rename(old, new)

    def remove(self, path):
        """Remove a file."""
        real.remove(path)

    def listdir(self, path):
        """The names in the folder `path`, sorted."""
        return real.listdir(path)

    def size(self, path):
        """The length of a file in bytes."""
        return real.size(path)


class PowerCut(BaseException):
    """The power went; nothing of the program under test runs after it (so it is not an Exception)."""


class FaultyFiles(Files):
    """The real file system, with a power cut or a full disk at a chosen moment. Nothing is really synced.

    `cut_after=n`: the n-th step (from 1) is the last, and PowerCut is raised then and on every call after it. A step is
    whatever changes the medium or makes a change durable: opening a file to write, write, sync, sync_folder, rename,
    remove. Of a write `torn` bytes reach the file; another step does not happen. With `lose_unsynced` everything that
    was not synced is gone as well: the bytes that no `sync` followed, and the names made, renamed and removed that no
    `sync_folder` followed.

    `full_after=n`: from the n-th write on, `write` raises OSError(28, ENOSPC) after `torn` bytes, until `full_after` is
    set to None.
    """

    def __init__(self, cut_after=None, full_after=None, torn=0, lose_unsynced=False):
        self.cut_after = cut_after
        self.full_after = full_after
        self.torn = torn
        self.steps = 0  # so far
        self.writes = 0  # of these, calls of write
        self.dead = False
        # With lose_unsynced: {path: [its synced bytes]}, as it is now and as it was at the last sync_folder. The list
        # is the file itself, which keeps its bytes under whatever name.
        self._now = {} if lose_unsynced else None
        self._durable = None  # until the folder is looked at
        self._open = []

    def open(self, path, mode):
        """As Files.open; writes go through the fault."""
        if "r" in mode:
            self._alive()
        else:
            self._look(path)
            self._step()
            if self._now is not None and path not in self._now:
                self._now[path] = [b""]
        file = super().open(path, mode)
        self._open.append(file)
        return _FaultyFile(self, path, file)

    def sync(self, file):
        """What was written to `file` survives a cut from now on."""
        self._step()
        if self._now is not None:
            self._now[file.path][0] = self._bytes(file.path)

    def sync_folder(self, path):
        """The names in the folder `path` survive a cut from now on."""
        self._step()
        if self._now is not None:
            self._look(path + "/")
            self._durable = dict(self._now)

    def rename(self, old, new):
        """As Files.rename."""
        self._look(new)
        self._step()
        super().rename(old, new)
        if self._now is not None:
            self._now[new] = self._now.pop(old)

    def remove(self, path):
        """As Files.remove."""
        self._look(path)
        self._step()
        super().remove(path)
        if self._now is not None:
            del self._now[path]

    def listdir(self, path):
        """As Files.listdir."""
        self._alive()
        return super().listdir(path)

    def _alive(self):
        if self.dead:
            raise PowerCut("the power is gone")

    def _step(self):
        self._alive()
        self.steps += 1
        if self.steps == self.cut_after:
            self.cut()
            raise PowerCut("the power went at step %d" % self.steps)

    def cut(self):
        """The power goes now."""
        self.dead = True
        for file in self._open:
            file.close()
        if self._durable is not None:
            for path in self._now:
                if path not in self._durable:
                    super().remove(path)
            for path, data in self._durable.items():
                file = super().open(path, "wb")
                file.write(data[0])
                file.close()

    def _look(self, path):
        """Before the first step in a folder: what is there already is durable."""
        if self._now is not None and self._durable is None:
            folder = path[: path.rfind("/")]
            for name in super().listdir(folder):
                self._now[folder + "/" + name] = [self._bytes(folder + "/" + name)]
            self._durable = dict(self._now)

    def _bytes(self, path):
        file = super().open(path, "rb")
        data = file.read()
        file.close()
        return data


class _FaultyFile:
    def __init__(self, files, path, file):
        self.files = files
        self.path = path
        self.file = file

    def write(self, data):
        files = self.files
        files.writes += 1
        full = files.full_after is not None and files.writes >= files.full_after
        if full or files.steps + 1 == files.cut_after:
            files._alive()
            self.file.write(bytes(data)[: files.torn])
        files._step()
        if full:
            raise OSError(28, "no space left (by the test)")
        return self.file.write(data)

    def read(self, n=-1):
        self.files._alive()
        return self.file.read(n)

    def seek(self, offset, whence=0):
        self.files._alive()
        return self.file.seek(offset, whence)

    def close(self):
        self.file.close()
        if self.file in self.files._open:
            self.files._open.remove(self.file)
