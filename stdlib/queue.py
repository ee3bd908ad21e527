"""CPython's `queue` for MicroPython, ShutDown included: the same names, arguments and errors, on `threading` beside it.

README.md beside this file has the table of names and the few differences. The theory, beyond that of threading.py:

*One mutex, two lists of gates.* CPython's queue has three Conditions. Here those who sleep for an item and those who
sleep for space are two plain lists of gates under the queue's one mutex, and the hot path is one mutex, one append or
popleft and one look at a list. A gate is opened last of all and outside the mutex.

*An opened gate is a hint, not a gift*: "there was an item a moment ago". Whoever runs first has the item, and the woken
thread looks again; nothing waits for a thread that has not come to run yet.

*One at a time.* Of each list at most one thread has been woken and has not arrived. Once it has its item it wakes the
next one if there is more. Waking costs more than a hundred puts, and most of the threads that a burst of puts would
wake come too late: this is what makes the queue fast. Nobody sleeps beside an item: as long as there are both, one is
on its way, and one that gives up (a time-out, Ctrl-C, a `_get` that raises) wakes the next in its place.
"""

import threading
from _thread import allocate_lock
from collections import deque

_FIRST = 8  # items a deque has room for at first; MicroPython's is made for a number, and doubled when it is full

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
    # Those who sleep for an item, or for space; all under the queue's mutex. `gates`: the oldest first. `coming`: one
    # of them was taken out and opened, and has not arrived. `spare`: closed gates of waits that are over.

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
    # replace together with `_init` and `_qsize`; where it has not, and the queue is not shut down, `_plain` says that
    # their work may be done in place, without a call.

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
        self._init(maxsize)

    def _init(self, maxsize):
        self.queue = deque((), _FIRST, 1)

    def _qsize(self):
        return len(self.queue)

    def _put(self, item):
        try:
            self.queue.append(item)
        except IndexError:
            larger = deque(self.queue, 2 * len(self.queue), 1)
            larger.append(item)
            self.queue = larger

    def _get(self):
        return self.queue.popleft()

    def put(self, item, block=True, timeout=None):
        """Add an item; where there is no space wait for it, at most `timeout` seconds: Full."""
        if timeout is not None:
            _check(block, timeout)
        with self.mutex:
            if self._plain and not 0 < self.maxsize <= len(self.queue):
                try:
                    self.queue.append(item)
                except IndexError:
                    self._put(item)
            else:
                self._put_later(item, block, timeout)
            self.unfinished_tasks += 1
            getters = self._getters
            if not getters.gates or getters.coming:
                return
            getters.coming = True
            gate = getters.gates.pop(0)
        gate.release()

    def get(self, block=True, timeout=None):
        """Remove and return an item; where there is none wait for it, at most `timeout` seconds: Empty."""
        if timeout is not None:
            _check(block, timeout)
        with self.mutex:
            if self._plain and self.queue:
                item = self.queue.popleft()
            else:
                item = self._get_later(block, timeout)
            putters = self._putters
            if not putters.gates or putters.coming:
                return item
            putters.coming = True
            gate = putters.gates.pop(0)
        gate.release()
        return item

    def put_nowait(self, item):
        return self.put(item, False)

    def get_nowait(self):
        return self.get(False)

    # Waiting. These are called with the mutex held, and return or raise with it held. Without a time-out nothing is
    # allocated on the way: what takes long here keeps the others from the mutex.

    def _is_ready(self, sleepers):
        """Whether there is what these sleepers wait for."""
        if sleepers is self._getters:
            return self._qsize() > 0
        return not 0 < self.maxsize <= self._qsize()

    def _put_later(self, item, block, timeout):
        putters = self._putters
        self._wait(putters, block, timeout)
        try:
            if self.is_shutdown:
                raise ShutDown
            self._put(item)
        finally:
            if putters.gates and self._is_ready(putters):
                putters.open_next()

    def _get_later(self, block, timeout):
        getters = self._getters
        self._wait(getters, block, timeout)
        try:
            return self._get()
        finally:
            if getters.gates and self._is_ready(getters):
                getters.open_next()

    def _wait(self, sleepers, block, timeout):
        """Return as soon as `sleepers` have what they wait for; raise when that can't be, or not in time."""
        left = us = None
        if block and timeout is not None:
            left = threading._deadline(threading._microseconds(timeout))
        while not self._is_ready(sleepers):
            if self.is_shutdown:
                raise ShutDown
            if left:
                us = min(left(), threading._LONGEST_US)
                block = us > 0
            if not block:
                raise Empty if sleepers is self._getters else Full
            gate = sleepers.spare.pop() if sleepers.spare and not left else threading._gate(us)
            sleepers.gates.append(gate)
            self.mutex.release()
            try:
                opened = threading._sleep(gate, us)
            except BaseException:
                self._give_up(sleepers, gate)
                threading._keep(gate)
                raise
            if opened:
                threading._woken()
                self.mutex.acquire()
                sleepers.coming = False
            else:
                self._give_up(sleepers, gate)
            if left:
                threading._keep(gate)
            else:
                sleepers.spare.append(gate)

    def _give_up(self, sleepers, gate):
        """Nobody is going to open `gate` any more; who was woken with it and does not come has the next one woken."""
        self.mutex.acquire()
        if gate in sleepers.gates:
            sleepers.gates.remove(gate)
            return
        gate.acquire()  # it is being opened
        sleepers.coming = False
        if self._is_ready(sleepers):
            sleepers.open_next()

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
            self._plain = False
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


# The other kinds are in a file beside this one, loaded when one of them is first used.


def __getattr__(name):
    if name not in ("LifoQueue", "PriorityQueue", "SimpleQueue", "__all__"):
        return threading._absent(name)
    return getattr(threading._beside("queues"), name)
