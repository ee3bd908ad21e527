"""A scheduler in a thread of its own."""

from bourn._compat.threads import threads, to_stderr
from bourn.clock import LONGEST_SLEEP_MS
from bourn.drivers.wakeable import Wakeable

WAITING_CALLS = 64  # functions given to `call` that have not run yet; one more is an error, not a longer list


class SchedulerThread:
    """Runs `scheduler` in a thread from `start` until `stop`, also while nothing is scheduled.

    The scheduler belongs to that thread: others add and cancel by `call`. An exception of a task does not end the
    thread: `errors` counts, `last_error` keeps the latest, and `failed(e)` is told (default: the traceback on stderr).
    On MicroPython it needs Bourn's `threading`; ImportError says what to install.

        driver = SchedulerThread(Scheduler()); driver.start(); driver.call(lambda: driver.scheduler.schedule_...)
    """

    def __init__(self, scheduler, failed=to_stderr):
        threading = threads()
        self.scheduler = scheduler
        self.errors = 0
        self.last_error = None
        self._failed = failed
        self._mutex = threading.Lock()
        self._calls = []  # under the mutex
        self._stopping = False
        self._wakeable = Wakeable(scheduler)
        scheduler.wait = self._wait
        scheduler.wake = self._wake
        self._thread = threading.Thread(target=self._run)

    def start(self):
        """Begin; RuntimeError the second time."""
        self._thread.start()

    def call(self, function):
        """Let the scheduler's thread call `function()` soon, at once if it sleeps. OverflowError when 64 wait."""
        with self._mutex:
            if len(self._calls) >= WAITING_CALLS:
                raise OverflowError("%d calls wait for the scheduler's thread" % WAITING_CALLS)
            self._calls.append(function)
        self._wakeable.wake()

    def stop(self, timeout_s=None):
        """End after the task that runs now, and wait for that (from another thread); True when it has ended."""
        self._stopping = True
        self.scheduler.stop()
        if threads().current_thread() is self._thread:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _wake(self):
        if self.scheduler._stopped:  # a task's own scheduler.stop() means this thread
            self._stopping = True
        self._wakeable.wake()

    def _wait(self, ms):
        with self._mutex:
            calls = self._calls
            self._calls = []
        for function in calls:
            self._guarded(function)
        if not calls and not self._stopping:
            self._wakeable.wait(ms)

    def _guarded(self, function):
        try:
            function()
        except Exception as e:
            self.errors += 1
            self.last_error = e
            self._failed(e)

    def _run(self):
        while not self._stopping:
            self._guarded(self.scheduler.run_forever)  # it returns when nothing is scheduled
            self._wait(LONGEST_SLEEP_MS if self.scheduler.next_wake() is None else 0)
