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

*What few programs use* is in files beside this one, and costs no memory before: see the end.
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
_LONGEST_US = 1 << 28  # of one sleep: twice that is where the microseconds of a 32-bit port wrap

_socket = None
if _NATIVE and not hasattr(time, "ticks_us"):  # CPython
    from operator import sub as _between

    def _now():
        return time.monotonic_ns() // 1000

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

    def acquire(self, us=None):
        """Whether it opened while at most `us` microseconds passed, or _LONGEST_US; without a limit for None."""
        ms = -1
        if us is not None:
            if 0 < us < 1000:  # what `poll`, which counts milliseconds, can't do
                time.sleep_us(us)
            ms = max(min(us, _LONGEST_US), 0) // 1000
        return bool(self._poll.poll(ms) and self._socket.recv(1))


_mutex = allocate_lock()  # guards what all threads share here
_alarms = []  # spare ones, none of them open, under _mutex


def _gate(us):
    """A closed gate for a wait of at most `us` microseconds, or for ever where that is None."""
    if us is not None and _socket:
        with _mutex:
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
        spare = 8  # kept for the next timed waits; more than that at once are made and closed again
        with _mutex:
            if len(_alarms) < spare:
                _alarms.append(gate)
                return
        gate._socket.close()


def _sleep(gate, us):
    """Sleep at `gate` until it opens: True, or until `us` microseconds are over, never earlier: False."""
    if us is None:
        return gate.acquire()
    if _NATIVE:
        return gate.acquire(True, max(us, 0) / 1000000)
    left = _deadline(us)
    alarm = isinstance(gate, _Alarm)
    pause_ms = 0
    while not gate.acquire(us if alarm else False):
        us = left()
        if us <= 0:
            return gate.acquire(0 if alarm else False)
        if not alarm:
            pause_ms = min(pause_ms + 1, 10)
            time.sleep(min(pause_ms / 1000, us / 1000000))
    return True


def _microseconds(timeout):
    """A time-out in seconds as a whole number of microseconds, rounded up; None stays None."""
    if timeout is None:
        return None
    if timeout > TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    whole = int(timeout)  # a board's float has 24 bits
    return whole * 1000000 + int((timeout - whole) * 1000000 + 0.999)


def _deadline(us):
    """A function that says what is left of `us` microseconds; its clock wraps, so ask it at least every _LONGEST_US."""
    mark = _now()

    def left():
        nonlocal us, mark
        if us is not None:
            now = _now()
            us -= _between(now, mark)
            mark = now
        return us

    return left


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
        """Open the gates of the `n` who have waited longest; how many there were. Allocates only where there are."""
        gates = ()
        with self._mutex:
            if self._waiters:
                gates = self._waiters[:n]
                self._waiters[:n] = []
        for gate in gates:
            gate.release()
        return len(gates)

    def _take_within(self, us):
        """Call `_take`, under the mutex, until it succeeds: True, or until `us` microseconds are over: False."""
        left = gate = None
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
            left = left or _deadline(us)  # nothing is allocated where it succeeds at once
            us = left()
            if us is not None:
                if us <= 0:
                    return False
                us = min(us, _LONGEST_US)
            gate = _gate(us)

    def __repr__(self):
        return _beside("repr").describe(self)


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

    __enter__ = acquire

    def release(self):
        self._raw.release()
        self._wake(1)

    def __exit__(self, kind, value, where):
        self.release()

    def locked(self):
        return self._raw.locked()


class RLock(Lock):
    """A lock that its owner may acquire again: `acquire(blocking=True, timeout=-1)`, released as often."""

    # `_owner` is the token of the thread that holds it, else None; `_count` how often. Both are written by the holder
    # only. Another thread may read an old `_owner`, but never its own token: it has itself written what came after.

    def __init__(self):
        super().__init__()
        self._owner = None
        self._count = 0

    def acquire(self, blocking=True, timeout=-1):
        me = _token()
        if self._owner == me:
            self._count += 1
            return True
        if super().acquire(blocking, timeout):
            self._owner = me
            self._count = 1
            return True
        return False

    __enter__ = acquire

    def release(self):
        _check_owned(self, "release")
        count = self._count - 1
        self._count = count
        if not count:
            self._owner = None
            super().release()

    # What Condition asks of a lock that can be held more than once.

    def _release_save(self):
        _check_owned(self, "release")
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


def _check_owned(lock, name):
    if not lock._is_owned():
        raise RuntimeError("cannot %s un-acquired lock" % name)


def _takes_keywords(lock):
    try:
        return lock.acquire(blocking=True, timeout=1)
    except TypeError:
        return False


if _NATIVE and _takes_keywords(allocate_lock()):
    Lock = allocate_lock


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

    def __exit__(self, kind, value, where):
        return self._lock.__exit__(kind, value, where)

    def _release_save(self):
        self._lock.release()

    def _acquire_restore(self, count):
        self._lock.acquire()

    def _is_owned(self):
        # of a plain lock nobody knows whose it is: held at all has to do
        if self._lock.acquire(False):
            self._lock.release()
            return False
        return True

    def wait(self, timeout=None):
        _check_owned(self, "wait on")
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
        left = _deadline(_microseconds(timeout))
        result = predicate()
        while not result:
            us = left()
            if us is not None:
                if us <= 0:
                    break
                us = min(us, _LONGEST_US) / 1000000
            self.wait(us)
            result = predicate()
        return result

    def notify(self, n=1):
        _check_owned(self, "notify on")
        self._wake(n)

    def notify_all(self):
        self.notify(len(self._waiters))

    notifyAll = notify_all


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
            gates = ()
            if self._waiters:
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


# Threads.

# `_active` is every thread that runs and has a Thread, by ident; `_limbo` those being started: both under
# `_mutex`. A thread takes itself out before its ident can be another's, and with it go its values in every
# `local`; an RLock that it forgot to release stays locked, since its owner is the Thread and not the ident.
_active = {}
_limbo = {}
_names = 0  # how many threads got a name by number, under the same lock
_before_run = None  # what each new thread calls first: set by `settrace` and `setprofile`


def _token():
    """What this thread is known by as an owner: its Thread, since idents come again; a foreign one has but that."""
    ident = get_ident()
    with _mutex:
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


get_native_id = getattr(_thread, "get_native_id", get_native_id)


def _counter():
    """The number of the next thread without a name."""
    global _names
    with _mutex:
        _names += 1
        return _names


def _next_name(kind, target=None):
    name = "%s-%d" % (kind, _counter())
    target = getattr(target, "__name__", None)
    return "%s (%s)" % (name, target) if target else name


class Thread:
    """CPython's: subclass it and override `run`, or give it a `target`; then `start` and `join`."""

    # `_started` and `_ended` are set once each, in this order, by the thread itself. Between them it is alive.
    # `_begun` under _mutex: `start` has been called, and has not failed.
    # `_locals`: the `local` objects that hold a value of this thread; only the thread itself uses it.

    _started = None  # so long as `__init__` was not called

    def __init__(self, group=None, target=None, name=None, args=(), kwargs=None, *, daemon=None):
        if group is not None:
            raise AssertionError("group argument must be None for now")
        self._target = target
        self._name = str(name) if name else _next_name("Thread", target)
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

    def __repr__(self):
        status = "initial"
        if self._started.is_set():
            status = "stopped" if self._ended.is_set() else "started"
        if self._daemonic:
            status += " daemon"
        if self.ident is not None:
            status += " %d" % self.ident
        return "<%s(%s, %s)>" % (type(self).__name__, self._name, status)

    def start(self):
        if not self._started:
            raise RuntimeError("thread.__init__() not called")
        with _mutex:
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
        with _mutex:
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
            with _mutex:
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
            if _before_run:
                _before_run()
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
            line = "Exception in threading.excepthook:"
            if hasattr(sys, "excepthook"):  # CPython's
                sys.stderr.write(line + "\n")
                sys.excepthook(type(trouble), trouble, getattr(trouble, "__traceback__", None))
            else:
                _say(line, trouble)

    def _end(self):
        for values in self._locals:
            values.forget(self)
        self._locals = []
        with _mutex:
            _active.pop(self.ident, None)
        self._ended.set()

    def join(self, timeout=None):
        if not self._started:
            raise RuntimeError("Thread.__init__() not called")
        if not self._started.is_set():
            raise RuntimeError("cannot join thread before it is started")
        if self is current_thread():
            raise RuntimeError("cannot join current thread")
        self._ended.wait(timeout)

    def is_alive(self):
        return self._started.is_set() and not self._ended.is_set()

    # The old names, and the attributes made of them.

    def isDaemon(self):
        return self._daemonic

    def setDaemon(self, daemon):
        if not self._started:
            raise RuntimeError("Thread.__init__() not called")
        if self._started.is_set():
            raise RuntimeError("cannot set daemon status of active thread")
        self._daemonic = daemon

    daemon = property(isDaemon, setDaemon)

    def getName(self):
        return self._name

    def setName(self, name):
        self._name = str(name)

    name = property(getName, setName)


class _MainThread(Thread):
    """A thread that nobody started through us; alive as long as anybody can tell."""

    def __init__(self, name="MainThread", daemon=False):
        super().__init__(name=name, daemon=daemon)
        self._begun = True
        self._started.set()

    def _found(self, native_id):
        """The running thread is this one."""
        self.ident = get_ident()
        self.native_id = native_id
        with _mutex:
            _active[self.ident] = self
        return self


class _DummyThread(_MainThread):
    def __init__(self):
        super().__init__(_next_name("Dummy"), True)
        self._token = get_ident()

    def join(self, timeout=None):
        raise RuntimeError("cannot join a dummy thread")


def _foreign():
    """The Thread of a running thread that has none yet."""
    found = _native_id()
    if _main_thread.ident is None and found and found[0] == found[1]:
        return _main_thread._found(found[0])
    return _DummyThread()._found(get_native_id())


def current_thread():
    with _mutex:
        thread = _active.get(get_ident())
    return thread or _foreign()


def main_thread():
    return _main_thread


def enumerate():
    with _mutex:
        return list(_active.values()) + list(_limbo.values())


def active_count():
    return len(enumerate())


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


# The beginning and the end.


def _shutdown():
    """Wait for every thread that is no daemon: CPython does so before the interpreter ends."""
    _main_thread._ended.set()
    while True:
        with _mutex:
            waited = [one for one in _active.values() if not one._daemonic and one is not _main_thread]
        if not waited:
            break
        waited[0]._ended.wait()
    if _previous_atexit:
        _previous_atexit()


_previous_atexit = None
if hasattr(sys, "atexit"):
    _previous_atexit = sys.atexit(_shutdown)

_main_thread = _MainThread()
_found = _native_id()
if not _found or _found[0] == _found[1]:
    _main_thread._found(_found[0] if _found else get_native_id())

# `print`. MicroPython's writes each argument by itself, so that the lines of two threads tear, and without a GIL the
# thread that an item has woken may print before the one that has just put it, and goes on to say so. CPython's goes on
# for 5 ms before another thread runs at all. So here a line is written in one piece, and the first line of a thread
# that was just started, or woken by a queue, lets somebody else's line go first if one comes within about 10 ms. Those
# who wait so hold `_polite_mutex`: of two, the first to come speaks first.
# `_lines` counts them, under `_print_mutex`; `_fresh` is the ident of the thread woken last, `_fresh_lines` the count
# then.
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


def _print(*args, sep=" ", end="\n", file=None, flush=False):
    """`print`, a line in one piece."""
    global _fresh, _lines
    text = (" " if sep is None else sep).join([str(one) for one in args]) + ("\n" if end is None else end)
    if file is not None:
        file.write(text)
        return
    if _fresh == get_ident():
        _fresh = None
        seen = _fresh_lines
        with _polite_mutex:
            pauses = 40
            while pauses and _lines == seen:
                pauses -= 1
                time.sleep(0.0002)
            _print(text, end="")
    else:
        with _print_mutex:
            _lines += 1
            sys.stdout.write(text)


if hasattr(sys, "print_exception"):  # a MicroPython
    _plain_print = builtins.print  # `builtins.print = threading._plain_print` takes the change back
    builtins.print = _print


# What few programs use: a file beside this one, its module once it has been loaded, and the names it has. An import of
# MicroPython's has no lock, hence ours. The names are not added here: that could crash a thread that reads another one.
_import_mutex = allocate_lock()
_modules = {}


def _beside(file):
    """The module of a file beside this one."""
    with _import_mutex:
        module = _modules.get(file)
        if not module:
            module = _modules[file] = __import__("_threading_" + file)
    return module


def _absent(name):
    """Raise an AttributeError; but newer MicroPythons ask for this one, loudly, when a class has a module in it."""
    if name == "__set_name__":
        return lambda owner, name: None
    raise AttributeError(name)


def __getattr__(name):
    if name[0] == "_" and name != "__all__":
        return _absent(name)
    # which file has it shows in its first letter: Semaphore, BoundedSemaphore, Barrier, BrokenBarrierError; local
    return getattr(_beside({"S": "sync", "B": "sync", "l": "local"}.get(name[0], "rare")), name)
