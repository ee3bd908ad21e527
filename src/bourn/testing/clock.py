"""A clock that a test moves by hand."""


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
