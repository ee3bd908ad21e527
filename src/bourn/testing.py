"""Tools for testing flows: part of the product, used by Bourn's own tests on both interpreters."""

from bourn._compat.files import Files
from bourn.things import InputThing


class ManualClock:
    """A clock that stands still until told: days pass in no time.

    `sleep` advances it, so `Scheduler(ManualClock()).run_forever()` runs a whole schedule at once.
    """

    def __init__(self, wall=1700000000000):
        self._now = 0
        self._wall = wall
        self.sleeps = 0  # how often someone slept: the wake-ups of a device

    def now(self):
        """Milliseconds that were advanced since the clock was made."""
        return self._now

    def wall(self):
        """Milliseconds since 1970-01-01 UTC: the start given, plus what was advanced, plus what `step_wall` added."""
        return self._wall + self._now

    def sleep(self, ms):
        """Advance by `ms` and count one sleep."""
        self.sleeps += 1
        self._now += ms

    def advance(self, ms):
        """Let `ms` milliseconds pass."""
        self._now += ms

    def step_wall(self, ms):
        """Somebody sets the wall clock `ms` ahead (or back); the planner's time does not move."""
        self._wall += ms


class Recorder(InputThing):
    """A sink that remembers: `events`, and `end` ("completed", the exception, or None while it goes on)."""

    def __init__(self):
        self.events = []
        self.end = None

    def on_next(self, x):
        """Remember `x`."""
        self.events.append(x)

    def on_completed(self):
        """Remember the end."""
        self.end = "completed"

    def on_error(self, e):
        """Remember the exception."""
        self.end = e


class PowerCut(BaseException):
    """The power went; nothing of the program under test runs after it (so it is not an Exception)."""


class FaultyFiles(Files):
    """The real file system with a power cut or a full disk at a chosen write.

    `cut_after=n`: the n-th write (from 1) tears: only `torn` of its bytes reach the file, then PowerCut is raised,
    and on every call after it. `full_after=n`: from the n-th write on, `write` raises OSError(28, ENOSPC) after
    `torn` bytes, until `full_after` is set to None.
    """

    def __init__(self, cut_after=None, full_after=None, torn=0):
        self.cut_after = cut_after
        self.full_after = full_after
        self.torn = torn
        self.writes = 0  # calls of write so far
        self.dead = False

    def open(self, path, mode):
        """As Files.open; writes go through the fault."""
        self._alive()
        return _FaultyFile(self, super().open(path, mode))

    def sync(self, file):
        """As Files.sync, unless the power is gone."""
        self._alive()
        super().sync(file.file)

    def sync_folder(self, path):
        """As Files.sync_folder, unless the power is gone."""
        self._alive()
        super().sync_folder(path)

    def rename(self, old, new):
        """As Files.rename, unless the power is gone."""
        self._alive()
        super().rename(old, new)

    def remove(self, path):
        """As Files.remove, unless the power is gone."""
        self._alive()
        super().remove(path)

    def _alive(self):
        if self.dead:
            raise PowerCut("the power is gone")


class _FaultyFile:
    def __init__(self, files, file):
        self.files = files
        self.file = file

    def write(self, data):
        files = self.files
        files._alive()
        files.writes += 1
        if files.cut_after is not None and files.writes >= files.cut_after:
            self.file.write(bytes(data)[: files.torn])
            files.dead = True
            raise PowerCut("the power went at write %d" % files.writes)
        if files.full_after is not None and files.writes >= files.full_after:
            self.file.write(bytes(data)[: files.torn])
            raise OSError(28, "no space left (by the test)")
        return self.file.write(data)

    def read(self, n=-1):
        return self.file.read(n)

    def seek(self, offset, whence=0):
        return self.file.seek(offset, whence)

    def close(self):
        self.file.close()
