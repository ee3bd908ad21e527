"""CPython's `threading` for MicroPython: the same names, arguments, results and reprs, on `_thread` alone.

README.md beside this file has the table of names and the few differences. The theory:

*No GIL.* On the unix and RP2 ports two threads really run at once, and the memory of an object that one thread changes
while another reads it can be gone: an unlocked list loses elements, an attribute added late crashes the reader. So
every attribute is made in `__init__`, before anybody else can see the object, and every list, dict and number that two
threads share has a raw lock beside it, named where it stands. Taking that lock is also what makes the writes of other
threads visible on a processor with weak memory order (ARM): a raw lock is an acquire and a release barrier, a plain
attribute is neither. That is why even `Event.is_set` takes it.

*Gates.* A thread that must wait puts a closed gate of its own into the list of what it waits for, and sleeps at it. Who
has something for it takes the gate out of the list, under the list's mutex, and then opens it, once, as the very last
act and outside the mutex, so that the woken thread never runs into a lock that its waker still holds. Whoever finds its
time over looks for its gate under the mutex: still there, nobody came, it takes the gate out and the answer is no; not
there, somebody is about to open it, so it waits for that moment and the answer is yes. No notification is lost between
the two, and no gate stays behind. (CPython's own Condition can lose one there.)

*Time-outs.* MicroPython's lock has none. A gate for a wait without a time-out is a raw lock. One with a time-out is a
datagram socket connected to itself, on which `poll` sleeps in the kernel until a datagram comes or the time is over: no
helper thread, no wake-up in between, no port. Where the interpreter's locks know time-outs (`_thread.TIMEOUT_MAX`)
those are used; where there is neither (ESP32, RP2) the lock is polled, at most every 10 ms.

*Ctrl-C* may strike anywhere, but nearly all the time a thread spends here it sleeps at a gate: what is caught there
takes the gate out of the list or, when it was being opened, hands the notification on to the next in line.
"""

import _thread
import builtins
import sys
import time
from _thread import allocate_lock, get_ident

_start_new_thread = _thread.start_new_thread

ThreadError = RuntimeError
TIMEOUT_MAX = getattr(_thread, "TIMEOUT_MAX", 9223372036.0)
_NATIVE = hasattr(_thread, "TIMEOUT_MAX")
_SPARE_ALARMS = 8  # sockets kept for the next timed wait; more than that at once are made and closed again
_LONGEST_US = 1 << 28  # of one sleep: twice that is where the microseconds of a 32-bit port wrap
_POLL_MS = 10  # the longest pause of a wait that has to poll

_socket = None
if _NATIVE:

    def _now():
        return time.monotonic_ns() // 1000

    def _between(later, earlier):
        return later - earlier

else:
    _now = time.ticks_us
    _between = time.ticks_diff
    try:
        import os
        import select
        import socket as _socket

        _FAMILY = _socket.AF_UNIX.to_bytes(2, sys.byteorder)
    except (ImportError, AttributeError):
        _socket = None


# Gates and those who wait at them.


class _Alarm:
    """A gate with a time-out: a datagram socket connected to itself, open while a datagram is in it."""

    def __init__(self):
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            # A name that starts with 0 is in no folder and goes with the socket. Connected, it takes datagrams from
            # nobody but itself, whoever may guess the name.
            address = _FAMILY + b"\0" + os.urandom(12)
            self._socket.bind(address)
            self._socket.connect(address)
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        except BaseException:
            self._socket.close()
            raise

    def release(self):
        self._socket.send(b"!")

    def acquire(self):
        self._poll.poll(-1)
        return self._socket.recv(1)

    def wait(self, us):
        """Whether it opened before `us` microseconds were over; never gives up early, and less than 1 ms late."""
        mark = _now()
        while us > 0:
            if us < 1000:  # what `poll`, which counts milliseconds, can't do
                time.sleep_us(us)
                ms = 0
            else:
                ms = min(us, _LONGEST_US) // 1000
            if self._poll.poll(ms):
                break
            now = _now()
            us -= _between(now, mark)
            mark = now
        else:
            if not self._poll.poll(0):
                return False
        return bool(self._socket.recv(1))

    def close(self):
        self._socket.close()


_alarms = []  # spare ones, none of them open, guarded by _alarms_mutex
_alarms_mutex = allocate_lock()


def _gate(us):
    """A closed gate for a wait of at most `us` microseconds, or for ever where that is None."""
    if us is not None and _socket:
        with _alarms_mutex:
            if _alarms:
                return _alarms.pop()
        try:
            return _Alarm()
        except OSError:  # no file descriptor is left: this wait polls
            pass
    gate = allocate_lock()
    gate.acquire()
    return gate


def _keep(gate):
    """Take back a gate that is closed and that nobody is going to open."""
    if isinstance(gate, _Alarm):
        with _alarms_mutex:
            if len(_alarms) < _SPARE_ALARMS:
                _alarms.append(gate)
                return
        gate.close()


def _sleep(gate, us):
    """Sleep at `gate` until it opens: True, or until `us` microseconds are over: False."""
    if us is None:
        gate.acquire()
        return True
    if _NATIVE:
        return gate.acquire(True, max(us, 0) / 1000000)
    if isinstance(gate, _Alarm):
        return gate.wait(us)
    pause_ms = 1
    mark = _now()
    while not gate.acquire(False):
        if us <= 0:
            return False
        time.sleep(min(pause_ms / 1000, us / 1000000))
        pause_ms = min(pause_ms + 1, _POLL_MS)
        now = _now()
        us -= _between(now, mark)
        mark = now
    return True


def _microseconds(timeout):
    """A time-out in seconds as a whole number of microseconds, rounded up; None stays None."""
    if timeout is None:
        return None
    if timeout > TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    whole = int(timeout)  # a board's float has 24 bits
    return whole * 1000000 + int((timeout - whole) * 1000000 + 0.999)


class _Deadline:
    """What is left of a time-out over several waits; asked at least every _LONGEST_US, a clock that wraps will do."""

    def __init__(self, us):
        self._left = us
        self._mark = _now()

    def left(self):
        if self._left is not None:
            now = _now()
            self._left -= _between(now, self._mark)
            self._mark = now
        return self._left


class _Waiters:
    # `_waiters` holds the gate of everyone who sleeps here or is about to, the oldest first. `_mutex` guards it and
    # whatever a class below adds. Who takes a gate out opens it, after letting go of the mutex.

    def __init__(self):
        self._mutex = allocate_lock()
        self._waiters = []

    def _park(self, gate, us):
        """Sleep at `gate`, which is in the list: True when somebody opened it, False when the time was over."""
        try:
            opened = _sleep(gate, us)
        except BaseException:
            if self._left(gate):
                self._wake(1)
            _keep(gate)
            raise
        if not opened:
            opened = self._left(gate)
        _keep(gate)
        return opened

    def _left(self, gate):
        """Take `gate` out of the list; True when somebody did before, and has opened it now."""
        with self._mutex:
            if gate in self._waiters:
                self._waiters.remove(gate)
                return False
        gate.acquire()
        return True

    def _wake(self, n):
        """Open the gates of the `n` who have waited longest; how many there were."""
        with self._mutex:
            gates = self._waiters[:n]
            self._waiters[:n] = []
        for gate in gates:
            gate.release()
        return len(gates)

    def _take_within(self, us):
        """Call `_take`, under the mutex, until it succeeds: True, or until `us` microseconds are over: False."""
        deadline = _Deadline(us)
        gate = None
        while True:
            with self._mutex:
                taken = self._take()
                if gate and not taken:
                    self._waiters.append(gate)
            if gate:
                if taken:
                    _keep(gate)
                else:
                    self._park(gate, us)
                    gate = None
                    continue
            if taken:
                return True
            us = deadline.left()
            if us is not None:
                if us <= 0:
                    return False
                us = min(us, _LONGEST_US)
            gate = _gate(us)


# Locks.


class Lock(_Waiters):
    """A lock like CPython's: `acquire(blocking=True, timeout=-1)`, released by whoever likes."""

    # `_raw` is the lock itself. `_waiters` holds only those who wait with a time-out: the others sleep in `_raw`. Who
    # puts a gate into the list tries `_raw` once more under the mutex, and who has released `_raw` then looks at the
    # list under the mutex: of the two the later one sees what the earlier did, so nobody sleeps beside a free lock. An
    # opened gate means "it was free a moment ago, try again": who comes first has it, nobody is promised a turn.

    def __init__(self):
        super().__init__()
        self._raw = allocate_lock()

    def acquire(self, blocking=True, timeout=-1):
        if timeout == -1:
            return self._raw.acquire(bool(blocking))
        if not blocking:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0:
            raise ValueError("timeout value must be a non-negative number")
        us = _microseconds(timeout)
        if _NATIVE or not _socket:
            return _sleep(self._raw, us)
        return self._take_within(us)

    def _take(self):
        return self._raw.acquire(False)

    def release(self):
        self._raw.release()
        mutex = self._mutex
        mutex.acquire()
        gate = self._waiters.pop(0) if self._waiters else None
        mutex.release()
        if gate:
            gate.release()

    def locked(self):
        return self._raw.locked()

    __enter__ = acquire

    def __exit__(self, kind, value, where):
        self.release()

    def __repr__(self):
        return "<%s _thread.lock object at %s>" % (_state(self), _at(self))


def _state(lock):
    return "locked" if lock.locked() else "unlocked"


def _at(thing):
    return hex(id(thing) & (2 * sys.maxsize + 1))  # half of a 32-bit port's addresses are negative


def _place(thing):
    return "%s.%s at %s" % (type(thing).__module__, type(thing).__name__, _at(thing))


def _takes_keywords(lock):
    try:
        return lock.acquire(blocking=True, timeout=1)
    except TypeError:
        return False


if _NATIVE and _takes_keywords(allocate_lock()):
    Lock = allocate_lock


class RLock:
    """A lock that its owner may acquire again: `acquire(blocking=True, timeout=-1)`, released as often."""

    # `_owner` is the token of the thread that holds `_block`, else None; `_count` how often. Both are written by the
    # holder only. Another thread may read an old `_owner`, but never its own token: it has itself written what came
    # after.

    def __init__(self):
        self._block = Lock()
        self._owner = None
        self._count = 0

    def acquire(self, blocking=True, timeout=-1):
        me = _token()
        if self._owner == me:
            self._count += 1
            return True
        if self._block.acquire(blocking, timeout):
            self._owner = me
            self._count = 1
            return True
        return False

    __enter__ = acquire

    def release(self):
        self._check_owner()
        count = self._count - 1
        self._count = count
        if not count:
            self._owner = None
            self._block.release()

    def _check_owner(self):
        if self._owner != _token():
            raise RuntimeError("cannot release un-acquired lock")

    def __exit__(self, kind, value, where):
        self.release()

    def locked(self):
        return self._count > 0

    # What Condition asks of a lock that can be held more than once.

    def _release_save(self):
        self._check_owner()
        count = self._count
        self._count = 1
        self.release()
        return count

    def _acquire_restore(self, count):
        self.acquire()
        self._count = count

    def _is_owned(self):
        return self._owner == _token()

    def _recursion_count(self):
        return self._count if self._is_owned() else 0

    def __repr__(self):
        owner = self._owner
        owner = owner.ident if isinstance(owner, Thread) else owner or 0
        return "<%s _thread.RLock object owner=%d count=%d at %s>" % (_state(self), owner, self._count, _at(self))


# What is built on waiting.


class Condition(_Waiters):
    """CPython's: `wait`, `wait_for`, `notify`, `notify_all` under a lock of the caller's, or an RLock of its own."""

    def __init__(self, lock=None):
        super().__init__()
        if lock is None:
            lock = RLock()
        self._lock = lock
        self.acquire = lock.acquire
        self.release = lock.release
        for name in ("_release_save", "_acquire_restore", "_is_owned"):
            if hasattr(lock, name):
                setattr(self, name, getattr(lock, name))

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *error):
        return self._lock.__exit__(*error)

    def __repr__(self):
        return "<Condition(%r, %d)>" % (self._lock, len(self._waiters))

    def _release_save(self):
        self._lock.release()

    def _acquire_restore(self, saved):
        self._lock.acquire()

    def _is_owned(self):
        # of a plain lock nobody knows whose it is: held at all has to do
        if self._lock.acquire(False):
            self._lock.release()
            return False
        return True

    def wait(self, timeout=None):
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        us = _microseconds(timeout)
        gate = _gate(us)
        with self._mutex:
            self._waiters.append(gate)
        try:
            saved = self._release_save()
        except BaseException:
            with self._mutex:
                self._waiters.remove(gate)
            raise
        try:
            return self._park(gate, us)
        finally:
            self._acquire_restore(saved)

    def wait_for(self, predicate, timeout=None):
        deadline = _Deadline(_microseconds(timeout))
        result = predicate()
        while not result:
            us = deadline.left()
            if us is not None:
                if us <= 0:
                    break
                us = min(us, _LONGEST_US) / 1000000
            self.wait(us)
            result = predicate()
        return result

    def notify(self, n=1):
        if not self._is_owned():
            raise RuntimeError("cannot notify on un-acquired lock")
        self._wake(n)

    def notify_all(self):
        self.notify(len(self._waiters))

    notifyAll = notify_all


class Semaphore(_Waiters):
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
        return self._take_within(_microseconds(timeout) if blocking else 0)

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

    def __repr__(self):
        return "<%s: value=%s>" % (_place(self), self._shown())

    def _shown(self):
        return self._value


class BoundedSemaphore(Semaphore):
    """A semaphore that is never released more often than acquired: ValueError."""

    def __init__(self, value=1):
        super().__init__(value)
        self._initial_value = value

    def _add(self, n):
        if self._value + n > self._initial_value:
            raise ValueError("Semaphore released too many times")
        self._value += n

    def _shown(self):
        return "%d/%d" % (self._value, self._initial_value)


class Event(_Waiters):
    """CPython's: `set`, `clear`, `is_set`, `wait(timeout=None)`."""

    # `_flag` under `_mutex`; while it is set the list is empty.

    def __init__(self):
        super().__init__()
        self._flag = False

    def is_set(self):
        with self._mutex:
            return self._flag

    isSet = is_set

    def set(self):
        with self._mutex:
            self._flag = True
            gates = self._waiters
            self._waiters = []
        for gate in gates:
            gate.release()

    def clear(self):
        with self._mutex:
            self._flag = False

    def wait(self, timeout=None):
        us = _microseconds(timeout)
        if self.is_set() or (us is not None and us <= 0):
            return self.is_set()
        gate = _gate(us)
        with self._mutex:
            flag = self._flag
            if not flag:
                self._waiters.append(gate)
        if flag:
            _keep(gate)
            return True
        return self._park(gate, us)

    def __repr__(self):
        return "<%s: %s>" % (_place(self), "set" if self.is_set() else "unset")


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
        self._cond = Condition(allocate_lock())
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
        if self.broken:
            return "<%s: broken>" % _place(self)
        return "<%s: waiters=%d/%d>" % (_place(self), self.n_waiting, self.parties)


# Threads.

# `_active` is every thread that runs and has a Thread, by ident; `_limbo` those being started: both under
# `_active_limbo_lock`. A thread takes itself out before its ident can be another's, and with it go its values in every
# `local`; an RLock that it forgot to release stays locked, since its owner is the Thread and not the ident.
_active = {}
_limbo = {}
_active_limbo_lock = allocate_lock()
_names = 0  # how many threads got a name by number, under the same lock
_trace_hook = None
_profile_hook = None


def _token():
    """What this thread is known by as an owner: its Thread, since idents come again; a foreign one has but that."""
    ident = get_ident()
    with _active_limbo_lock:
        thread = _active.get(ident)
    return thread._token if thread else ident


def _native_id():
    """(id of this thread, id of the process) by the kernel, or None where there is no such thing."""
    try:
        with open("/proc/thread-self/stat") as thread, open("/proc/self/stat") as process:
            return int(thread.read(24).split(" ", 1)[0]), int(process.read(24).split(" ", 1)[0])
    except OSError:
        return None


def get_native_id():
    """The kernel's number of this thread; where there is none to be had, the same as `get_ident()`."""
    found = _native_id()
    return found[0] if found else get_ident()


if hasattr(_thread, "get_native_id"):
    get_native_id = _thread.get_native_id


def _counter():
    """The number of the next thread without a name."""
    global _names
    with _active_limbo_lock:
        _names += 1
        return _names


def _next_name(target):
    name = getattr(target, "__name__", None)
    return "Thread-%d (%s)" % (_counter(), name) if name else "Thread-%d" % _counter()


class Thread:
    """CPython's: subclass it and override `run`, or give it a `target`; then `start` and `join`."""

    # `_started` and `_ended` are set once each, in this order, by the thread itself. Between them it is alive.
    # `_begun` under _active_limbo_lock: `start` has been called, and has not failed.
    # `_locals`: the `local` objects that hold a value of this thread; only the thread itself uses it.

    _initialized = False

    def __init__(self, group=None, target=None, name=None, args=(), kwargs=None, *, daemon=None):
        if group is not None:
            raise AssertionError("group argument must be None for now")
        self._target = target
        self.name = str(name) if name else _next_name(target)
        self._args = args
        self._kwargs = {} if kwargs is None else kwargs
        self._daemonic = current_thread().daemon if daemon is None else bool(daemon)
        self.ident = None
        self.native_id = None
        self._token = self
        self._begun = False
        self._started = Event()
        self._ended = Event()
        self._trouble = None
        self._locals = []
        self._initialized = True

    def __repr__(self):
        status = "initial"
        if self._started.is_set():
            status = "stopped" if self._ended.is_set() else "started"
        if self._daemonic:
            status += " daemon"
        if self.ident is not None:
            status += " %d" % self.ident
        return "<%s(%s, %s)>" % (type(self).__name__, self.name, status)

    def start(self):
        if not self._initialized:
            raise RuntimeError("thread.__init__() not called")
        with _active_limbo_lock:
            if self._begun:
                raise RuntimeError("threads can only be started once")
            self._begun = True
            _limbo[self] = self
        try:
            _start_new_thread(self._bootstrap, ())
        except BaseException as e:
            self._not_started()
            if isinstance(e, OSError):
                raise RuntimeError("can't start new thread")
            raise
        self._started.wait()
        if self._trouble:
            raise self._trouble

    def _not_started(self):
        with _active_limbo_lock:
            _limbo.pop(self, None)
            self._begun = False

    def run(self):
        try:
            if self._target is not None:
                self._target(*self._args, **self._kwargs)
        finally:
            del self._target, self._args, self._kwargs

    def _bootstrap(self):
        ident = get_ident()
        try:
            native_id = get_native_id()
            with _active_limbo_lock:
                self.ident = ident
                self.native_id = native_id
                _active[ident] = self
                del _limbo[self]
        except BaseException as e:  # no memory
            self._trouble = e  # is raised by `start`
            self._not_started()
            self._started.set()
            self._ended.set()
            return
        _woken()
        self._started.set()
        try:
            if _trace_hook and hasattr(sys, "settrace"):
                sys.settrace(_trace_hook)
            if _profile_hook and hasattr(sys, "setprofile"):
                sys.setprofile(_profile_hook)
            self.run()
        except SystemExit:
            pass
        except BaseException as e:
            self._report(e)
        finally:
            self._end()

    def _report(self, e):
        try:
            excepthook(ExceptHookArgs((type(e), e, getattr(e, "__traceback__", None), self)))
        except SystemExit:
            pass
        except BaseException as trouble:
            if hasattr(sys, "excepthook"):
                sys.stderr.write("Exception in threading.excepthook:\n")
                sys.excepthook(type(trouble), trouble, getattr(trouble, "__traceback__", None))
            else:
                _say("Exception in threading.excepthook:", trouble)

    def _end(self):
        for values in self._locals:
            values.forget(self)
        self._locals = []
        with _active_limbo_lock:
            _active.pop(self.ident, None)
        self._ended.set()

    def join(self, timeout=None):
        if not self._initialized:
            raise RuntimeError("Thread.__init__() not called")
        if not self._started.is_set():
            raise RuntimeError("cannot join thread before it is started")
        if self is current_thread():
            raise RuntimeError("cannot join current thread")
        self._ended.wait(timeout)

    def is_alive(self):
        return self._started.is_set() and not self._ended.is_set()

    @property
    def daemon(self):
        return self._daemonic

    @daemon.setter
    def daemon(self, daemonic):
        if not self._initialized:
            raise RuntimeError("Thread.__init__() not called")
        if self._started.is_set():
            raise RuntimeError("cannot set daemon status of active thread")
        self._daemonic = daemonic

    # The old names.

    def getName(self):
        return self.name

    def setName(self, name):
        self.name = str(name)

    def isDaemon(self):
        return self._daemonic

    def setDaemon(self, daemonic):
        self.daemon = daemonic


class Timer(Thread):
    """Calls `function(*args, **kwargs)` after `interval` seconds in a thread of its own, unless cancelled before."""

    def __init__(self, interval, function, args=None, kwargs=None):
        super().__init__()
        self.interval = interval
        self.function = function
        self.args = [] if args is None else args
        self.kwargs = {} if kwargs is None else kwargs
        self.finished = Event()

    def cancel(self):
        self.finished.set()

    def run(self):
        if not self.finished.wait(self.interval):
            self.function(*self.args, **self.kwargs)
        self.finished.set()


class _Unstarted(Thread):
    """A thread that nobody started through us; alive as long as anybody can tell."""

    def __init__(self, name, daemon):
        super().__init__(name=name, daemon=daemon)
        self._begun = True
        self._started.set()

    def _found(self, native_id):
        """The running thread is this one."""
        self.ident = get_ident()
        self.native_id = native_id
        with _active_limbo_lock:
            _active[self.ident] = self
        return self


class _MainThread(_Unstarted):
    pass


class _DummyThread(_Unstarted):
    def __init__(self):
        super().__init__(_next_name(None).replace("Thread", "Dummy"), True)
        self._token = get_ident()

    def join(self, timeout=None):
        raise RuntimeError("cannot join a dummy thread")


def _foreign():
    """The Thread of a running thread that has none yet."""
    found = _native_id()
    if _main_thread.ident is None and found and found[0] == found[1]:
        return _main_thread._found(found[0])
    return _DummyThread()._found(get_native_id())


_main_thread = _MainThread("MainThread", False)


def current_thread():
    with _active_limbo_lock:
        thread = _active.get(get_ident())
    return thread or _foreign()


def main_thread():
    return _main_thread


def enumerate():
    with _active_limbo_lock:
        return list(_active.values()) + list(_limbo.values())


def active_count():
    with _active_limbo_lock:
        return len(_active) + len(_limbo)


currentThread = current_thread
activeCount = active_count


def stack_size(size=0):
    """The stack in bytes of threads to come was so much, and is now `size`; 0 is the port's own choice."""
    if size < 0:
        raise ValueError("size must be 0 or a positive value")
    return _thread.stack_size(size)


def settrace(function):
    global _trace_hook
    _trace_hook = function


def setprofile(function):
    global _profile_hook
    _profile_hook = function


def gettrace():
    return _trace_hook


def getprofile():
    return _profile_hook


class ExceptHookArgs:
    """What `excepthook` gets: exc_type, exc_value, exc_traceback (always None on MicroPython), thread."""

    def __init__(self, args):
        self.exc_type, self.exc_value, self.exc_traceback, self.thread = args


def excepthook(args):
    """Say on stderr which thread ended with which error, in one piece. Assign another function to replace it."""
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else get_ident()
        _say("Exception in thread %s:" % name, args.exc_value)


def _say(line, e):
    import io

    out = io.StringIO()
    sys.print_exception(e, out)
    sys.stderr.write(line + "\n" + out.getvalue())


if _NATIVE and hasattr(_thread, "_excepthook"):
    excepthook = _thread._excepthook
    ExceptHookArgs = _thread._ExceptHookArgs
__excepthook__ = excepthook


# Values of a thread's own.


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
        token = _token()
        with self._mutex:
            mine = self._objects.get(token)
        if mine is None:
            mine = self._new(self._class)
            with self._mutex:
                self._objects[token] = mine
            if isinstance(token, Thread) and token is not _main_thread:
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


if hasattr(_thread, "_local"):
    local = _thread._local


# The beginning and the end.


def _shutdown():
    """Wait for every thread that is no daemon: CPython does so before the interpreter ends."""
    _main_thread._ended.set()
    while True:
        with _active_limbo_lock:
            waited = [one for one in _active.values() if not one._daemonic and one is not _main_thread]
        if not waited:
            break
        waited[0]._ended.wait()
    if _previous_atexit:
        _previous_atexit()


# `print`. MicroPython's writes each argument by itself, so that the lines of two threads tear, and without a GIL the
# thread that an item has woken may print before the one that has just put it, and goes on to say so. CPython's goes on
# for 5 ms before another thread runs at all. So here a line is written in one piece, and the first line of a thread
# that was just started, or woken by a queue, lets somebody else's line go first if one comes within about 10 ms.
# `_lines` counts them, under `_print_mutex`; `_fresh` is the ident of the thread woken last, `_fresh_lines` the count
# then.
_FIRST_WORD_PAUSES = 40
# Those who wait so hold `_polite_mutex`: of two, the first to come speaks first.
_print_mutex = allocate_lock()
_polite_mutex = allocate_lock()
_lines = 0
_fresh = None
_fresh_lines = 0


def _woken():
    """Note that this thread has just been woken by another."""
    global _fresh, _fresh_lines
    _fresh_lines = _lines
    _fresh = get_ident()


def _print_line(*args, sep=" ", end="\n", file=None, flush=False):
    """`print`, a line in one piece."""
    global _fresh
    text = (" " if sep is None else sep).join([str(one) for one in args]) + ("\n" if end is None else end)
    if file is not None:
        file.write(text)
        return
    if _fresh == get_ident():
        _fresh = None
        seen = _fresh_lines
        with _polite_mutex:
            pauses = _FIRST_WORD_PAUSES
            while pauses and _lines == seen:
                pauses -= 1
                time.sleep(0.0002)
            _write_line(text)
    else:
        _write_line(text)


def _write_line(text):
    global _lines
    with _print_mutex:
        _lines += 1
        sys.stdout.write(text)


_plain_print = builtins.print  # `builtins.print = threading._plain_print` takes the change back
_previous_atexit = None
if hasattr(sys, "atexit"):
    _previous_atexit = sys.atexit(_shutdown)
if hasattr(sys, "print_exception"):
    builtins.print = _print_line

_main_thread = _MainThread("MainThread", False)
_found = _native_id()
if not _found or _found[0] == _found[1]:
    _main_thread._found(_found[0] if _found else get_native_id())
