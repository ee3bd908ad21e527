"""Says when things run, and sleeps in between as seldom interrupted as the intervals allow.

Theory. Every task of interval P is due at `phase + k * P`, counted from the one common epoch at which the
planner's time is 0. Tasks whose intervals share factors therefore meet by themselves, which is the minimum of
wake-ups for exact intervals (Rogers' theorem on arithmetic progressions), needs no search and no state, and
makes the grid the same after a task was removed and added again. A task with slack may run late, inside
[due, due + slack], never early and never shifting its grid: the planner sleeps to the earliest end of a
window and then runs every task whose window is open, which is optimal for fixed windows.

The planner (`next_wake`, `run_due`) asks nobody for the time. `run_forever` is the blocking driver; what it
waits with is an argument, so that a program with a socket waits in `poll` and still needs one thread only. Other
ways to wait are in `bourn.drivers`. All calls but `stop` belong to the one thread that runs the scheduler.
"""

from bourn._compat import Clock


class Task:
    """One scheduled function. Call the task, or its `cancel`, to end it: at any point, also inside the function."""

    missed = 0  # periods that passed while something else held the thread
    ends = False  # whether it does when `run` returns False

    def __init__(self, tasks, order, run, interval, slack, due):
        self._tasks = tasks
        self.order = order  # of adding: decides who runs first at equal due times
        self.run = run
        self.interval = interval  # ms; 0 = once
        self.slack = slack  # ms, < interval
        self.due = due  # ms on the planner's time, on the grid except for a first run at once

    def cancel(self):
        """From now on the function is not called any more."""
        if self in self._tasks:
            self._tasks.remove(self)

    __call__ = cancel


class Scheduler:
    """Runs tasks on one common grid: no drift, no burst after a stall, deterministic order.

    `wait(ms)` may return early; by default it is `clock.sleep`. `phase_ms` moves this device's whole grid, so that
    a fleet does not wake in the same instant. What is scheduled is returned as its own `cancel`: a function without
    arguments, which counts in `missed` the periods that were skipped.
    """

    _added = 0
    _stopped = False

    def __init__(self, clock=None, wait=None, phase_ms=0):
        self.clock = clock or Clock()
        self.wait = wait or self.clock.sleep
        self.phase_ms = phase_ms
        self._tasks = []  # by due time, then by order of adding; changed in place only

    # -- what ThingFlow's users know

    def schedule_periodic(self, thing, interval_s, slack_s=0, at_once=False):
        """Observe the OutputThing `thing` every `interval_s` seconds until its stream ends; returns `cancel`."""
        thing.scheduler = self
        task = self.schedule_recurring(thing._observe, interval_s, slack_s, at_once)
        task.ends = True
        thing._cancel = task  # for a policy that finds that the stream has ended
        return task

    def schedule_sensor(self, sensor, interval_s, *sinks, **options):
        """Sample `sensor` every `interval_s` seconds into `sinks`; options as schedule_periodic; returns `cancel`."""
        from bourn.sensor import SensorAsOutputThing

        thing = SensorAsOutputThing(sensor, self.clock)
        for sink in sinks:
            thing.connect(sink)
        return self.schedule_periodic(thing, interval_s, **options)

    def schedule_recurring(self, function, interval_s, slack_s=0, at_once=False):
        """Call `function()` every `interval_s` seconds, at most `slack_s` late if that saves a wake-up.

        The first time is the next multiple of the interval, or now with `at_once`. Returns `cancel`.
        """
        interval = round(interval_s * 1000)
        slack = round(slack_s * 1000)
        if not 0 <= slack < interval:
            raise ValueError("under 1 ms, or too much slack_s")
        due = self.clock.now()
        if not at_once:
            due = self._grid(interval, due)
        return self._add(function, interval, slack, due)

    def schedule_later_one_time(self, function, delay_s):
        """Call `function()` once, `delay_s` seconds from now; returns `cancel`."""
        delay = round(delay_s * 1000)
        if delay < 1:
            raise ValueError("under 1 ms, or too much slack_s")
        return self._add(function, 0, 0, self.clock.now() + delay)

    def run_forever(self):
        """Run what is due and wait in between, until nothing is scheduled or `stop` was called.

        An exception of a task comes out here; its next period is scheduled already, so calling again goes on.
        """
        while not self._stopped:
            pause = self.next_wake()
            if pause is None:
                break
            pause -= self.clock.now()
            if pause > 0:
                self.wait(pause)
            if not self._stopped:
                self.run_due(self.clock.now())
        self._stopped = False  # only now: a `stop` that came before the loop began is not lost

    def stop(self):
        """`run_forever` returns after the task that is running now; at once where the driver's wait can be ended."""
        self._stopped = True
        self.wake()

    def wake(self):
        """Something was added, or it is to stop: a driver puts here what ends its `wait` at once."""

    # -- the planner: pure, on the planner's time in ms

    def next_wake(self):
        """The latest time (ms) to which everything may sleep, or None when nothing is scheduled."""
        wake = None
        for task in self._tasks:
            end = task.due + task.slack
            if wake is None or end < wake:
                wake = end
            elif task.due >= wake:
                break  # and so are all behind it
        return wake

    def run_due(self, now):
        """Run each task whose window is open at `now` (ms), earliest due first; returns how many ran.

        A period that has passed entirely is skipped and counted in the task's `missed`.
        """
        tasks = self._tasks
        ran = 0
        while tasks and tasks[0].due <= now:
            task = tasks.pop(0)
            if task.interval:
                due = self._grid(task.interval, now + 1)
                task.missed += (due - task.due - 1) // task.interval
                task.due = due
                self._place(task)
            ran += 1
            if task.run() is False and task.ends:
                task.cancel()
            if self._stopped:
                break
        return ran

    def _add(self, run, interval, slack, due):
        self._added += 1
        task = Task(self._tasks, self._added, run, interval, slack, due)
        self._place(task)
        self.wake()
        return task

    def _place(self, task):
        tasks = self._tasks
        low = 0
        high = len(tasks)
        while low < high:
            middle = (low + high) // 2
            other = tasks[middle]
            if other.due < task.due or (other.due == task.due and other.order < task.order):
                low = middle + 1
            else:
                high = middle
        tasks.insert(low, task)

    def _grid(self, interval, now):
        """The first due time of `interval` that is not before `now`."""
        return now + (self.phase_ms - now) % interval
