"""The part of threading.py with `Timer`, `stack_size` and the hooks, loaded when one of them is first used."""

import _thread
import sys as _sys
import threading as _threading

__name__ = "threading"  # whose these are, as far as anybody can see

__all__ = [
    "TIMEOUT_MAX",
    "Barrier",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "Condition",
    "Event",
    "ExceptHookArgs",
    "Lock",
    "RLock",
    "Semaphore",
    "Thread",
    "ThreadError",
    "Timer",
    "active_count",
    "current_thread",
    "enumerate",
    "excepthook",
    "get_ident",
    "get_native_id",
    "getprofile",
    "gettrace",
    "local",
    "main_thread",
    "setprofile",
    "settrace",
    "stack_size",
]

currentThread = _threading.current_thread
activeCount = _threading.active_count

__name__ = "threading"  # whose these are, as far as anybody can see


class Timer(_threading.Thread):
    """Calls `function(*args, **kwargs)` after `interval` seconds in a thread of its own, unless cancelled before."""

    def __init__(self, interval, function, args=None, kwargs=None):
        super().__init__()
        self.interval = interval
        self.function = function
        self.args = [] if args is None else args
        self.kwargs = {} if kwargs is None else kwargs
        self.finished = _threading.Event()

    def cancel(self):
        self.finished.set()

    def run(self):
        if not self.finished.wait(self.interval):
            self.function(*self.args, **self.kwargs)
        self.finished.set()


def stack_size(size=0):
    """The stack in bytes of threads to come was so much, and is now `size`; 0 is the port's own choice."""
    if size < 0:
        raise ValueError("size must be 0 or a positive value")
    return _thread.stack_size(size)


_trace_hook = None
_profile_hook = None


def _before_run():
    if _trace_hook and hasattr(_sys, "settrace"):
        _sys.settrace(_trace_hook)
    if _profile_hook and hasattr(_sys, "setprofile"):
        _sys.setprofile(_profile_hook)


def settrace(function):
    """Call `sys.settrace(function)` in each thread to come, where the interpreter has that."""
    global _trace_hook
    _trace_hook = function
    _threading._before_run = _before_run


def setprofile(function):
    """Call `sys.setprofile(function)` in each thread to come, where the interpreter has that."""
    global _profile_hook
    _profile_hook = function
    _threading._before_run = _before_run


def gettrace():
    return _trace_hook


def getprofile():
    return _profile_hook
