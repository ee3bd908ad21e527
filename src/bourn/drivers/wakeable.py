"""A blocking wait that ends at once when told from a signal handler or from another thread."""

from bourn._compat.threads import threads
from bourn.clock import LONGEST_SLEEP_MS


class Wakeable:
    """Lets `scheduler.run_forever()` wait in a lock, so that `scheduler.stop()` from anywhere takes effect at once.

    On MicroPython it needs Bourn's `threading`; ImportError says what to install. A plain `time.sleep` goes on after
    a signal handler has returned, until its time is over.

        Wakeable(scheduler); signal.signal(signal.SIGTERM, lambda *_: scheduler.stop()); scheduler.run_forever()
    """

    def __init__(self, scheduler):
        self._lock = threads().Lock()
        self._lock.acquire()  # held for good; who wakes releases it, and the waiter takes it back
        scheduler.wait = self.wait
        scheduler.wake = self.wake

    def wait(self, ms):
        """Wait `ms` milliseconds, or until `wake`, also one that came since the last wait."""
        self._lock.acquire(True, min(ms, LONGEST_SLEEP_MS) / 1000)

    def wake(self):
        """End the wait that is under way, or else the next one."""
        try:
            self._lock.release()
        except RuntimeError:  # woken already; a lock, not an Event: a signal handler must not wait for its own thread
            return
