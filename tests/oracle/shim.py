"""What CPython's tests take for granted and MicroPython lacks: just enough of unittest, test.support, time and random.

Imported on MicroPython only, by the slices that slices.py makes; each runs one test in a process of its own.
"""

import _thread
import io
import random as _random
import re
import sys as _sys
import threading
import time as _time


class SafeList:
    """A list that threads may share: CPython's tests rely on the GIL where they use a plain one."""

    def __init__(self, items=()):
        self.items = list(items)
        self.lock = _thread.allocate_lock()

    def append(self, item):
        with self.lock:
            self.items.append(item)

    def pop(self, *index):
        with self.lock:
            return self.items.pop(*index)

    def clear(self):
        with self.lock:
            self.items = []

    def reverse(self):
        with self.lock:
            self.items.reverse()

    def copy(self):
        with self.lock:
            return SafeList(self.items)

    def __len__(self):
        with self.lock:
            return len(self.items)

    def __getitem__(self, index):
        with self.lock:
            return self.items[index]

    def __iter__(self):
        with self.lock:
            return iter(self.items[:])

    def __add__(self, other):
        return list(self) + list(other)

    def __eq__(self, other):
        return list(self) == list(other)

    def __repr__(self):
        return repr(self.items)


class Time:
    """`time` with `monotonic`."""

    def __init__(self):
        self.sleep = _time.sleep
        self.time = _time.time
        self.start = _time.ticks_ms()

    def monotonic(self):
        return _time.ticks_diff(_time.ticks_ms(), self.start) / 1000


time = Time()


class Random:
    """`random.Random`: a small generator of its own."""

    def __init__(self, seed):
        self.state = seed
        self.lock = _thread.allocate_lock()

    def random(self):
        with self.lock:
            self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
            return self.state / 0x80000000


class random:
    Random = Random
    random = _random.random


class Sys:
    """`sys` with a stderr that can be replaced, here and in `threading`."""

    def __init__(self):
        self.stderr = _sys.stderr

    def __getattr__(self, name):
        return getattr(_sys, name)

    def excepthook(self, *error):  # MicroPython has none; where there is one it is called
        pass

    def getswitchinterval(self):
        return 0.005

    def setswitchinterval(self, seconds):
        pass


sys = threading.sys = Sys()


class DeprecationWarning(Exception):
    pass


class Skipped(Exception):
    pass


class _Raises:
    def __init__(self, kind):
        self.kind = kind
        self.exception = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, where):
        assert kind is not None and issubclass(kind, self.kind), "%r not raised, but %r" % (self.kind, value)
        self.exception = value
        return True


class _Nothing:
    def __init__(self, *args, **kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


class TestCase:
    def setUp(self):
        pass

    def tearDown(self):
        pass

    def addCleanup(self, function, *args):
        self.cleanups = getattr(self, "cleanups", []) + [(function, args)]

    def skipTest(self, reason):
        raise Skipped(reason)

    def fail(self, message=None):
        raise AssertionError(message)

    def assertTrue(self, value, message=None):
        assert value, message or repr(value)

    def assertFalse(self, value, message=None):
        assert not value, message or repr(value)

    def assertEqual(self, a, b, message=None):
        assert a == b, message or "%r != %r" % (a, b)

    def assertNotEqual(self, a, b, message=None):
        assert a != b, message or "%r == %r" % (a, b)

    def assertIs(self, a, b):
        assert a is b, "%r is not %r" % (a, b)

    def assertIsNone(self, value):
        assert value is None, repr(value)

    def assertIsNotNone(self, value):
        assert value is not None

    def assertIn(self, item, items, message=None):
        assert item in items, message or "%r not in %r" % (item, items)

    def assertNotIn(self, item, items, message=None):
        assert item not in items, message or "%r in %r" % (item, items)

    def assertIsInstance(self, value, kind):
        assert isinstance(value, kind), repr(value)

    def assertGreater(self, a, b):
        assert a > b, "%r <= %r" % (a, b)

    def assertGreaterEqual(self, a, b):
        assert a >= b, "%r < %r" % (a, b)

    def assertLess(self, a, b):
        assert a < b, "%r >= %r" % (a, b)

    def assertLessEqual(self, a, b):
        assert a <= b, "%r > %r" % (a, b)

    def assertRegex(self, text, pattern):
        assert re.search(pattern, text), "%r does not match %r" % (text, pattern)

    def assertRaises(self, kind, function=None, *args, **kwargs):
        raises = _Raises(kind)
        if function is None:
            return raises
        with raises:
            function(*args, **kwargs)

    def assertWarnsRegex(self, *args):
        return _Nothing()  # there are no warnings

    def subTest(self, **about):
        return _Nothing()


class os_helper:
    TESTFN = ".tools/tmp/oracle-%d" % (_time.ticks_us() & 0xFFFFFF)

    def unlink(path):
        import os

        os.remove(path)


class traceback:
    def format_stack():
        pass


class _Patch:
    def __init__(self, thing, name, return_value):
        self.swapped = _Swapped(thing, name, lambda: return_value)

    def __enter__(self):
        self.swapped.__enter__()

    def __exit__(self, *error):
        self.swapped.__exit__()


class mock:
    class patch:
        object = _Patch


class test:
    pass


class unittest:
    TestCase = TestCase


class _Captured:
    def __init__(self, name):
        pass

    def __enter__(self):
        self.before = sys.stderr
        sys.stderr = io.StringIO()
        return sys.stderr

    def __exit__(self, *error):
        sys.stderr = self.before


class _Swapped:
    def __init__(self, thing, name, value):
        self.thing, self.name, self.value = thing, name, value

    def __enter__(self):
        self.before = getattr(self.thing, self.name)
        setattr(self.thing, self.name, self.value)

    def __exit__(self, *error):
        setattr(self.thing, self.name, self.before)


class support:
    SHORT_TIMEOUT = 30
    LONG_TIMEOUT = 300
    verbose = False
    captured_output = _Captured
    swap_attr = _Swapped

    def sleeping_retry(timeout):
        start = time.monotonic()
        while time.monotonic() - start < timeout:
            yield
            _time.sleep(0.01)
        raise AssertionError("timed out")

    def gc_collect():
        import gc

        gc.collect()

    def reap_children():
        pass


test.support = support


class _Started:
    def __init__(self, threads):
        self.threads = list(threads)

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, *error):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()


class threading_helper:
    start_threads = _Started
    wait_threads_exit = _Nothing

    def threading_setup():
        return ()

    def threading_cleanup(*threads):
        pass

    def join_thread(thread, timeout=None):
        thread.join(support.SHORT_TIMEOUT)
        assert not thread.is_alive()


class ExceptionGroup(Exception):
    pass


def run(case, name):
    """Run one test and say how it went."""
    test = case()
    try:
        test.setUp()
        try:
            getattr(test, name)()
        finally:
            test.tearDown()
            for function, args in reversed(getattr(test, "cleanups", [])):
                function(*args)
    except Skipped as e:
        print("skip:", e)
        return
    except BaseException as e:
        _sys.print_exception(e, _sys.stdout)
        print("FAIL")
        _sys.exit(1)
    print("ok")
