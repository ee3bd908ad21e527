"""Says when things run, and sleeps in between as seldom interrupted as the intervals allow.

Theory. Every task of interval P is due at `phase + k * P`, counted from the one common epoch at which the
planner's time is 0. Tasks whose intervals share factors therefore meet by themselves, which is the minimum of
wake-ups for exact intervals (Rogers' theorem on arithmetic progressions), needs no search and no state, and
makes the grid the same after a task was removed and added again. A task with slack may run late, inside
[due, due + slack], never early and never shifting its grid: the planner sleeps to the earliest end of a
window and then runs every task whose window is open, which is optimal for fixed windows.

The planner (`next_wake`, `run_due`) asks nobody for the time. `run_forever` is the blocking driver; what it
waits with is an argument, so that a program with a socket waits in `poll` and still needs one thread only.
"""

from bourn.clock import Clock


class Task:
    """One scheduled function; `cancel()` is safe at any point, also inside the function itself."""

    def __init__(self, run, interval, slack, due):
        self.run = run
        self.interval = interval  # ms; 0 = once
        self.slack = slack  # ms, < interval
        self.due = due  # ms on the planner's time, always on the grid
        self.missed = 0  # periods that passed while something else held the thread
        self.cancelled = False

    def cancel(self):
        """From now on the function is not called any more."""
        self.cancelled = True


def _ms(seconds, name):
    ms = round(seconds * 1000)
    if ms < 1:
        raise ValueError("%s must be at least 0.001 s, not %r" % (name, seconds))
    return ms


class Scheduler:
    """Runs tasks on one common grid: no drift, no burst after a stall, deterministic order.

    `wait(ms)` may return early; by default it is `clock.sleep`. `phase_ms` moves this device's whole grid, so that
    a fleet does not wake in the same instant.
    """

    def __init__(self, clock=None, wait=None, phase_ms=0):
        self.clock = clock or Clock()
        self._wait = wait or self.clock.sleep
        self._phase = phase_ms
        self._tasks = []  # in the order in which they were added, which is also the order at equal due times
        self._stopped = False

    # -- what ThingFlow's users know

    def schedule_periodic(self, thing, interval_s, slack_s=0, at_once=False):
        """Observe the OutputThing `thing` every `interval_s` seconds until its stream ends; returns `cancel`."""

        def observe():
            if thing._observe() is False:
                task.cancel()

        thing.scheduler = self
        task = self._add(observe, interval_s, slack_s, at_once)
        return task.cancel

    def schedule_sensor(self, sensor, interval_s, *sinks):
        """Sample `sensor` every `interval_s` seconds into `sinks`; returns `cancel`."""
        from bourn.things import SensorAsOutputThing

        thing = SensorAsOutputThing(sensor, self.clock)
        for sink in sinks:
            thing.connect(sink)
        return self.schedule_periodic(thing, interval_s)

    def schedule_recurring(self, function, interval_s, slack_s=0, at_once=False):
        """Call `function()` every `interval_s` seconds; returns `cancel`."""
        return self._add(function, interval_s, slack_s, at_once).cancel

    def schedule_later_one_time(self, function, delay_s):
        """Call `function()` once, `delay_s` seconds from now; returns `cancel`."""
        task = Task(function, 0, 0, self.clock.now() + _ms(delay_s, "delay"))
        self._tasks.append(task)
        return task.cancel

    def run_forever(self):
        """Run what is due and wait in between, until nothing is scheduled or `stop` was called.

        An exception of a task comes out here; its next period is scheduled already, so calling again goes on.
        """
        while not self._stopped:
            wake = self.next_wake()
            if wake is None:
                return
            pause = wake - self.clock.now()
            if pause > 0:
                self._wait(pause)
            if not self._stopped:
                self.run_due(self.clock.now())
        self._stopped = False  # only now: a `stop` that came before the loop began is not lost

    def stop(self):
        """`run_forever` returns after the task that is running now; one that has not begun yet returns at once."""
        self._stopped = True

    # -- the planner: pure, on the planner's time in ms

    def next_wake(self):
        """The latest time (ms) to which everything may sleep, or None when nothing is scheduled."""
        wake = None
        for task in self._tasks:
            if not task.cancelled and (wake is None or task.due + task.slack < wake):
                wake = task.due + task.slack
        return wake

    def run_due(self, now):
        """Run each task whose window is open at `now` (ms), earliest due first; returns how many ran.

        A period that has passed entirely is skipped and counted in the task's `missed`.
        """
        # The place in the list breaks ties: MicroPython's sort is not stable.
        due = [(t.due, i, t) for i, t in enumerate(self._tasks) if t.due <= now and not t.cancelled]
        due.sort()
        ran = 0
        for _, _, task in due:
            if task.cancelled:  # by one that ran just before it
                continue
            if task.interval:
                following = self._grid(task.interval, now + 1)
                task.missed += (following - task.due - 1) // task.interval  # grid points between the two
                task.due = following
            else:
                task.cancelled = True
            ran += 1
            task.run()
            if self._stopped:
                break
        self._tasks = [t for t in self._tasks if not t.cancelled]
        return ran

    def _add(self, run, interval_s, slack_s, at_once):
        interval = _ms(interval_s, "interval")
        slack = round(slack_s * 1000)
        if not 0 <= slack < interval:
            raise ValueError("slack must be at least 0 and shorter than the interval, not %r" % (slack_s,))
        now = self.clock.now()
        task = Task(run, interval, slack, now if at_once else self._grid(interval, now))
        self._tasks.append(task)
        return task

    def _grid(self, interval, at):
        """The first due time of `interval` that is not before `at`."""
        return at + (self._phase - at) % interval
