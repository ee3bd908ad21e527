"""The part of threading.py that says what a lock looks like, loaded when one is first shown."""

import sys
import threading


def describe(thing):
    """`repr` of a lock or of what is built on one, as CPython has it."""
    name = type(thing).__name__
    place = "%s.%s at %s" % (type(thing).__module__, name, _at(thing))
    if isinstance(thing, threading.RLock):
        owner = thing._owner
        owner = owner.ident if isinstance(owner, threading.Thread) else owner or 0
        about = (_state(thing), owner, thing._count, _at(thing))
        return "<%s _thread.RLock object owner=%d count=%d at %s>" % about
    if hasattr(thing, "_raw"):
        return "<%s _thread.lock object at %s>" % (_state(thing), _at(thing))
    if isinstance(thing, threading.Condition):
        return "<Condition(%r, %d)>" % (thing._lock, len(thing._waiters))
    if isinstance(thing, threading.Event):
        return "<%s: %s>" % (place, "set" if thing.is_set() else "unset")
    if isinstance(thing, threading.BoundedSemaphore):
        return "<%s: value=%d/%d>" % (place, thing._value, thing._initial_value)
    if isinstance(thing, threading.Semaphore):
        return "<%s: value=%d>" % (place, thing._value)
    if thing.broken:
        return "<%s: broken>" % place
    return "<%s: waiters=%d/%d>" % (place, thing.n_waiting, thing.parties)


def _state(lock):
    return "locked" if lock.locked() else "unlocked"


def _at(thing):
    return hex(id(thing) & (2 * sys.maxsize + 1))  # half of a 32-bit port's addresses are negative
