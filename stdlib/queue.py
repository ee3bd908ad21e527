"""CPython's `queue` for MicroPython, ShutDown included: the same names, arguments and errors, on `threading` beside it.

README.md beside this file has the table of names and the few differences. The theory, beyond that of threading.py:

*One mutex, two lists of gates.* CPython's queue has three Conditions. Here those who sleep for an item and those who sleep
for space are two plain lists of gates under the queue's one mutex, and the hot path is one mutex, one append or popleft
and one look at a list. A gate is opened last of all and outside the mutex.

*An opened gate is a hint, not a gift*: "there was an item a moment ago". Whoever runs first has the item, and the woken
thread looks again; nothing waits for a thread that has not come to run yet.

*One at a time.* Of each list at most one thread has been woken and has not arrived. Once it has its item it wakes the next
one if there is more. Waking costs more than a hundred puts, and most of the threads that a burst of puts would wake come too
late: this is what makes the queue fast. Nobody sleeps beside an item: as long as there are both, one is on its way,
and one that gives up (a time-out, Ctrl-C, a `_get` that raises) wakes the next in its place.
"""

from collections import deque
from heapq import heappop, heappush

import threading
from _thread import allocate_lock

_FIRST = 8  # items a deque has room for at first; MicroPython's is made for a number, and doubled when it is full
_MOST_SPARE = 8  # gates kept for the next waits

try:
    deque((), 1, 1)
except TypeError:  # CPython's grows by itself

    def deque(items, room, flags, _deque=deque):
        return _deque(items)


class Empty(Exception):
    """There is no item, and none came in time."""


class Full(Exception):
    """There is no space, and none came in time."""


class ShutDown(Exception):
    """The queue was shut down."""


class _Sleepers:
    # Those who sleep for an item, or for space; all under the queue's mutex. `gates`: the oldest first. `coming`: one of
    # them was taken out and opened, and has not arrived. `spare`: closed gates of waits that are over.

    def __init__(self):
        self.gates = []
        self.coming = False
        self.spare = []

    def open_next(self):
        """Wake one, unless one is on its way."""
        if self.gates and not self.coming:
            self.coming = True
            self.gates.pop(0).release()


class Queue:
    """First in, first out; at most `maxsize` items where that is above 0."""

    # Everything is under `mutex`. `queue` holds the items and changes in `_put` and `_get` only, which a subclass may
    # replace together with `_init` and `_qsize`; where it has not (`_plain`) their work is done in place, without a call.

    def __init__(self, maxsize=0):
        self.maxsize = maxsize
        self.mutex = allocate_lock()
        self.all_tasks_done = threading.Condition(self.mutex)
        self.unfinished_tasks = 0
        self.is_shutdown = False
        self._getters = _Sleepers()
        self._putters = _Sleepers()
        cls = type(self)
        self._plain = cls._put is Queue._put and cls._get is Queue._get and cls._qsize is Queue._qsize
        self._room = _FIRST
        self._init(maxsize)

    def _init(self, maxsize):
        self.queue = deque((), _FIRST, 1)

    def _qsize(self):
        return len(self.queue)

    def _put(self, item):
        try:
            self.queue.append(item)
        except IndexError:
            larger = deque(self.queue, 2 * self._room, 1)
            larger.append(item)
            self._room *= 2
            self.queue = larger

    def _get(self):
        return self.queue.popleft()

    def put(self, item, block=True, timeout=None):
        """Add an item; where there is no space wait for it, at most `timeout` seconds: Full."""
        if timeout is not None:
            _check(block, timeout)
        with self.mutex:
            if self.is_shutdown:
                raise ShutDown
            if self.maxsize > 0 and self.maxsize <= (len(self.queue) if self._plain else self._qsize()):
                self._put_later(item, block, timeout)
            elif self._plain:
                try:
                    self.queue.append(item)
                except IndexError:
                    self._put(item)
            else:
                self._put(item)
            self.unfinished_tasks += 1
            getters = self._getters
            if getters.coming or not getters.gates:
                return
            getters.coming = True
            gate = getters.gates.pop(0)
        gate.release()

    def get(self, block=True, timeout=None):
        """Remove and return an item; where there is none wait for it, at most `timeout` seconds: Empty."""
        if timeout is not None:
            _check(block, timeout)
        with self.mutex:
            if not (self.queue if self._plain else self._qsize()):
                item = self._get_later(block, timeout)
            elif self._plain:
                item = self.queue.popleft()
            else:
                item = self._get()
            putters = self._putters
            if putters.coming or not putters.gates:
                return item
            putters.coming = True
            gate = putters.gates.pop(0)
        gate.release()
        return item

    def put_nowait(self, item):
        return self.put(item, False)

    def get_nowait(self):
        return self.get(False)

    # Waiting. These are called with the mutex held, and return or raise with it held.

    def _has_item(self):
        return self._qsize() > 0

    def _has_space(self):
        return not 0 < self.maxsize <= self._qsize()

    def _put_later(self, item, block, timeout):
        self._wait(self._putters, self._has_space, Full, block, timeout)
        try:
            if self.is_shutdown:
                raise ShutDown
            self._put(item)
        finally:
            if self._has_space():
                self._putters.open_next()

    def _get_later(self, block, timeout):
        self._wait(self._getters, self._has_item, Empty, block, timeout)
        try:
            return self._get()
        finally:
            if self._has_item():
                self._getters.open_next()

    def _wait(self, sleepers, ready, refusal, block, timeout):
        """Return as soon as `ready()`."""
        deadline = None
        while not ready():
            if self.is_shutdown:
                raise ShutDown
            if not block:
                raise refusal
            if not deadline:
                deadline = threading._Deadline(threading._microseconds(timeout))
            us = deadline.left()
            if us is not None:
                if us <= 0:
                    raise refusal
                us = min(us, threading._LONGEST_US)
            self._sleep(sleepers, ready, us)

    def _sleep(self, sleepers, ready, us):
        """Sleep without the mutex until somebody opens our gate or the time is over."""
        gate = sleepers.spare.pop() if us is None and sleepers.spare else threading._gate(us)
        sleepers.gates.append(gate)
        opened = passed = False
        try:
            self.mutex.release()
            opened = threading._sleep(gate, us)
            passed = True
        finally:
            self.mutex.acquire()
            if not opened and gate in sleepers.gates:
                sleepers.gates.remove(gate)
            else:
                if not opened:
                    gate.acquire()  # it is being opened
                sleepers.coming = False
                if not passed and ready():
                    sleepers.open_next()
            if us is None and len(sleepers.spare) < _MOST_SPARE:
                sleepers.spare.append(gate)
            else:
                threading._keep(gate)

    def qsize(self):
        with self.mutex:
            return self._qsize()

    def empty(self):
        with self.mutex:
            return not self._qsize()

    def full(self):
        with self.mutex:
            return 0 < self.maxsize <= self._qsize()

    def task_done(self):
        """One item that was got has been dealt with."""
        with self.mutex:
            unfinished = self.unfinished_tasks - 1
            if unfinished < 0:
                raise ValueError("task_done() called too many times")
            self.unfinished_tasks = unfinished
            if not unfinished and self.all_tasks_done._waiters:
                self.all_tasks_done.notify_all()

    def join(self):
        """Wait until every item that was put has been dealt with."""
        with self.all_tasks_done:
            while self.unfinished_tasks:
                self.all_tasks_done.wait()

    def shutdown(self, immediate=False):
        """No more items come in; `get` raises ShutDown once none is left, or, where `immediate`, from now on."""
        with self.mutex:
            self.is_shutdown = True
            if immediate:
                while self._qsize():
                    self._get()
                    if self.unfinished_tasks > 0:
                        self.unfinished_tasks -= 1
                self.all_tasks_done.notify_all()
            gates = self._getters.gates + self._putters.gates
            self._getters.gates = []
            self._putters.gates = []
        for gate in gates:
            gate.release()


def _check(block, timeout):
    if block and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")


class PriorityQueue(Queue):
    """The smallest item first."""

    def _init(self, maxsize):
        self.queue = []

    def _qsize(self):
        return len(self.queue)

    def _put(self, item):
        heappush(self.queue, item)

    def _get(self):
        return heappop(self.queue)


class LifoQueue(Queue):
    """Last in, first out."""

    def _init(self, maxsize):
        self.queue = []

    def _qsize(self):
        return len(self.queue)

    def _put(self, item):
        self.queue.append(item)

    def _get(self):
        return self.queue.pop()


class SimpleQueue:
    """First in, first out, without a bound and without `task_done`."""

    def __init__(self):
        self._queue = Queue()

    def put(self, item, block=True, timeout=None):
        self._queue.put(item)

    def get(self, block=True, timeout=None):
        return self._queue.get(block, timeout)

    def put_nowait(self, item):
        self._queue.put(item)

    def get_nowait(self):
        return self._queue.get(False)

    def qsize(self):
        return self._queue.qsize()

    def empty(self):
        return self._queue.empty()
