"""An asyncio loop in which nobody waits: its time jumps to the next timer. Programs of both libraries run on it."""

import asyncio
import selectors


class _Selector(selectors.DefaultSelector):
    loop = None

    def select(self, timeout=None):
        if timeout:
            self.loop.skipped += timeout
            timeout = 0
        return super().select(timeout)


class Loop(asyncio.SelectorEventLoop):
    """Its time is what was skipped; a stall is what a program skips on purpose."""

    def __init__(self):
        self.skipped = 1000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        """Seconds."""
        return self.skipped

    def stall(self, seconds):
        """Something has held the thread for so long."""
        self.skipped += seconds

    @property
    def passed(self):
        """Whole milliseconds since the beginning."""
        return round((self.skipped - 1000) * 1000)


class Sensor:
    """Samples the given values; an exception among them is raised."""

    def __init__(self, sensor_id, values):
        self.sensor_id = sensor_id
        self.values = iter(values)

    def sample(self):
        """The next one; StopIteration after the last."""
        value = next(self.values)
        if isinstance(value, Exception):
            raise value
        return value

    def __repr__(self):
        return f"Sensor({self.sensor_id})"


class Show:
    """An input thing that prints what it gets."""

    def __init__(self, name="show"):
        self.name = name

    def on_next(self, x):
        """Print the event."""
        print(self.name, x)

    def on_completed(self):
        """Print the end."""
        print(self.name, "completed")

    def on_error(self, e):
        """Print the error."""
        print(self.name, "error", type(e).__name__, isinstance(e, OSError) and e)

    def __str__(self):
        return f"Show({self.name})"
