"""The part of threading.py with `local`, loaded when it is first used: values of a thread's own."""

import _thread
import threading
from _thread import allocate_lock

__name__ = "threading"  # whose these are, as far as anybody can see


class local:
    """An object whose attributes each thread has for itself. A subclass's `__init__` runs once in each thread."""

    def __new__(cls, *args, **kwargs):
        if cls is local and (args or kwargs):
            raise TypeError("Initialization arguments are not supported")
        return _Local(_Values(super().__new__, cls, args, kwargs))


class _Values:
    # `_objects` has for each thread that has used the `local` an object of the very class that the program wrote, by
    # the thread's token; guarded by `_mutex`.

    def __init__(self, new, cls, args, kwargs):
        self._new = new
        self._class = cls
        self._args = args
        self._kwargs = kwargs
        self._mutex = allocate_lock()
        self._objects = {}

    def mine(self):
        """The running thread's object; made when there is none yet."""
        token = threading._token()
        with self._mutex:
            mine = self._objects.get(token)
        if mine is None:
            mine = self._new(self._class)
            with self._mutex:
                self._objects[token] = mine
            if isinstance(token, threading.Thread) and token is not threading._main_thread:
                token._locals.append(self)
            if hasattr(mine, "__init__"):
                try:
                    mine.__init__(*self._args, **self._kwargs)
                except BaseException:
                    self.forget(token)
                    raise
        return mine

    def forget(self, token):
        with self._mutex:
            self._objects.pop(token, None)


class _Local:
    # Holds nothing but `_values`: every other attribute is that of the running thread's object.

    def __init__(self, values):
        object.__setattr__(self, "_values", values)

    def __getattr__(self, name):
        return getattr(self._values.mine(), name)

    def __setattr__(self, name, value):
        setattr(self._values.mine(), name, value)

    def __delattr__(self, name):
        delattr(self._values.mine(), name)


local = getattr(_thread, "_local", local)
