"""The part of threading.py with semaphores and the barrier, loaded when one of them is first used."""

import threading
from _thread import allocate_lock

__name__ = "threading"  # whose these are, as far as anybody can see


class Semaphore(threading._Waiters):
    """CPython's: `acquire(blocking=True, timeout=None)`, `release(n=1)`."""

    # `_value` under `_mutex`. An opened gate means "it was above 0, try again", as with Lock.

    def __init__(self, value=1):
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        super().__init__()
        self._value = value

    def acquire(self, blocking=True, timeout=None):
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        return self._take_within(threading._microseconds(timeout) if blocking else 0)

    def _take(self):
        if self._value > 0:
            self._value -= 1
            return True
        return False

    __enter__ = acquire

    def __exit__(self, kind, value, where):
        self.release()

    def release(self, n=1):
        if n < 1:
            raise ValueError("n must be one or more")
        with self._mutex:
            self._add(n)
        self._wake(n)

    def _add(self, n):
        self._value += n


class BoundedSemaphore(Semaphore):
    """A semaphore that is never released more often than acquired: ValueError."""

    def __init__(self, value=1):
        super().__init__(value)
        self._initial_value = value

    def _add(self, n):
        if self._value + n > self._initial_value:
            raise ValueError("Semaphore released too many times")
        self._value += n


class BrokenBarrierError(RuntimeError):
    """The barrier was reset or aborted, or somebody's time was over."""


_FILLING, _DRAINING, _RESETTING, _BROKEN = range(4)


class Barrier:
    """CPython's: `wait(timeout=None)` lets `parties` threads go on together, each with another number."""

    # `_state` under the lock of `_cond`: _FILLING: threads arrive; _DRAINING: all have come and leave; _RESETTING: they
    # leave with an error, and it fills again; _BROKEN: an error for everybody until `reset`. `_count` is how many are
    # inside; who makes it 0 ends _DRAINING and _RESETTING, and only then may the next round come in.

    def __init__(self, parties, action=None, timeout=None):
        if parties < 1:
            raise ValueError("parties must be > 0")
        self._cond = threading.Condition(allocate_lock())
        self._action = action
        self._timeout = timeout
        self._parties = parties
        self._state = _FILLING
        self._count = 0

    def wait(self, timeout=None):
        if timeout is None:
            timeout = self._timeout
        with self._cond:
            self._cond.wait_for(lambda: self._state in (_FILLING, _BROKEN))
            if self._state == _BROKEN:
                raise BrokenBarrierError
            index = self._count
            self._count += 1
            try:
                if self._count < self._parties:
                    self._cond.wait_for(lambda: self._state != _FILLING, timeout)
                    if self._state != _DRAINING:
                        raise BrokenBarrierError
                else:
                    if self._action:
                        self._action()
                    self._state = _DRAINING
                    self._cond.notify_all()
                return index
            except BaseException:  # the time was over, the action failed, or Ctrl-C
                if self._state == _FILLING:
                    self._break()
                raise
            finally:
                self._count -= 1
                if not self._count and self._state in (_DRAINING, _RESETTING):
                    self._state = _FILLING
                    self._cond.notify_all()

    def _break(self):
        self._state = _BROKEN
        self._cond.notify_all()

    def reset(self):
        with self._cond:
            if not self._count:
                self._state = _FILLING
            elif self._state != _DRAINING:
                self._state = _RESETTING
            self._cond.notify_all()

    def abort(self):
        with self._cond:
            self._break()

    @property
    def parties(self):
        return self._parties

    @property
    def n_waiting(self):
        return self._count if self._state == _FILLING else 0

    @property
    def broken(self):
        return self._state == _BROKEN

    def __repr__(self):
        return threading._beside("repr").describe(self)
