# heap: 1024k
# timeout: 90
"""`threading` where CPython's own tests do not look: identity, foreign threads, failures to start, memory, reprs."""

import _thread
import gc
import queue
import sys
import threading
import time

from run import Skip

MICROPYTHON = hasattr(time, "ticks_ms")


def matches(text, start, end):
    """Whether a repr is as it should be around its number."""
    return text.startswith(start) and text.endswith(end)


def in_thread(function):
    """What `function` returns in a thread of its own."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def foreign(function):
    """Run `function` in a thread that `threading` did not start, to its end."""
    done = _thread.allocate_lock()
    done.acquire()

    def run():
        try:
            function()
        finally:
            done.release()

    _thread.start_new_thread(run, ())
    done.acquire()


def test_reprs():
    main = threading.current_thread()
    assert matches(repr(main), "<_MainThread(MainThread, started ", ")>"), main
    assert main is threading.main_thread()
    thread = threading.Thread(target=lambda: None, name="t1")
    assert repr(thread) == "<Thread(t1, initial)>"
    thread.daemon = True
    assert repr(thread) == "<Thread(t1, initial daemon)>"
    thread.start()
    thread.join()
    assert repr(thread) == "<Thread(t1, stopped daemon %d)>" % thread.ident
    assert in_thread(lambda: repr(threading.current_thread()))[:8] == "<Thread("
    assert matches(repr(threading.Lock()), "<unlocked _thread.lock object at 0x", ">")
    lock = threading.RLock()
    with lock:
        start = "<locked _thread.RLock object owner=%d count=1 at 0x" % threading.get_ident()
        assert matches(repr(lock), start, ">"), lock
    assert matches(repr(lock), "<unlocked _thread.RLock object owner=0 count=0 at 0x", ">")
    assert matches(repr(threading.Condition(lock)), "<Condition(<unlocked _thread.RLock", ">, 0)>")
    assert matches(repr(threading.BoundedSemaphore(2)), "<threading.BoundedSemaphore at 0x", ": value=2/2>")
    assert matches(repr(threading.Event()), "<threading.Event at 0x", ": unset>")
    assert matches(repr(threading.Barrier(3)), "<threading.Barrier at 0x", ": waiters=0/3>")


def test_names():
    def work():
        pass

    assert threading.Thread(name=7).name == "7"
    name = threading.Thread(target=work).name
    assert name.startswith("Thread-") and name.endswith(" (work)"), name
    thread = threading.Thread()
    thread.name = "other"
    assert thread.getName() == "other" if MICROPYTHON else thread.name == "other"


def test_every_public_name_is_there():
    for name in (
        "Barrier BoundedSemaphore BrokenBarrierError Condition Event ExceptHookArgs Lock RLock Semaphore TIMEOUT_MAX "
        "Thread ThreadError Timer active_count current_thread enumerate excepthook get_ident get_native_id getprofile "
        "gettrace local main_thread setprofile settrace stack_size"
    ).split():
        assert hasattr(threading, name), name


def test_what_is_loaded_on_first_use():
    """By several threads at once; the same object ever after, in `dir` and in a class as well."""
    found = []
    lock = _thread.allocate_lock()

    def first():
        names = (threading.Barrier, threading.Timer, threading.local, threading.Semaphore, queue.LifoQueue)
        with lock:
            found.append(names)

    threads = [threading.Thread(target=first) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and all(one == found[0] for one in found)
    from threading import Barrier

    assert Barrier is found[0][0] and Barrier.__name__ == "Barrier"
    assert {"Barrier", "Semaphore", "Timer", "local", "Thread"} <= set(dir(threading))
    assert {"Barrier", "Semaphore", "Timer", "local", "Thread"} <= set(threading.__all__)
    assert set(queue.__all__) >= {"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "Empty", "Full"}
    for module in (threading, queue):
        assert not hasattr(module, "_nothing_of_this_name") and not hasattr(module, "nothing_of_this_name")

    class Holder:  # newer MicroPythons ask a module for more then
        one = threading
        other = queue

    assert Holder.one.Semaphore is threading.Semaphore and Holder.other.Queue is queue.Queue


def test_a_thousand_threads_one_after_another():
    count = [0]

    def work():
        count[0] += 1

    before = None
    for i in range(1000):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if MICROPYTHON and i in (200, 999):
            thread = None
            gc.collect()
            before, after = gc.mem_alloc() if before is None else before, gc.mem_alloc()
    assert count[0] == 1000
    assert threading.active_count() == 1
    if MICROPYTHON:
        assert after - before < 8000, (before, after)


def test_many_threads_at_once():
    if sys.maxsize < 2**32 and MICROPYTHON:
        count = 200  # 32-bit qemu has room for no more stacks
    else:
        count = 500
    go = threading.Event()
    ready = threading.Semaphore(0)
    idents = set()
    lock = threading.Lock()

    def work():
        with lock:
            idents.add(threading.get_ident())
        ready.release()
        go.wait(60)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert ready.acquire(timeout=30)
    assert len(idents) == count
    assert threading.active_count() == count + 1
    assert len(threading.enumerate()) == count + 1
    go.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert threading.active_count() == 1


def test_foreign_threads_are_welcome():
    found = []
    lock = threading.RLock()
    event = threading.Event()
    values = threading.local()
    values.x = 1

    def work():
        with lock, lock:
            me = threading.current_thread()
            found.append((me.ident == threading.get_ident(), me.daemon, me.is_alive(), hasattr(values, "x")))
        found.append(event.wait(0.01))
        found.append(threading.current_thread() is me)

    foreign(work)
    assert found == [(True, True, True, False), False, True], found
    assert lock.acquire(False)
    lock.release()


def test_an_ident_that_comes_again_owns_nothing():
    if not MICROPYTHON:
        raise Skip("CPython's RLock goes by the ident alone")
    lock = threading.RLock()
    values = threading.local()
    idents = []

    def first():
        lock.acquire()
        values.x = 1
        idents.append(threading.get_ident())

    def second():
        idents.append(threading.get_ident())
        idents.append((lock._is_owned(), hasattr(values, "x"), lock.acquire(False)))

    for work in (first, second):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert idents[2] == (False, False, False), idents


def test_a_thread_that_cannot_be_started_leaves_nothing():
    def refuse(*args):
        raise OSError(11, "no more threads")

    before = threading.active_count()
    thread = threading.Thread(target=lambda: None)
    native = threading._start_new_thread
    threading._start_new_thread = refuse if MICROPYTHON else lambda *a: (_ for _ in ()).throw(RuntimeError("no"))
    try:
        thread.start()
        raise AssertionError("it started")
    except RuntimeError:
        pass
    finally:
        threading._start_new_thread = native
    assert threading.active_count() == before
    assert not thread.is_alive()
    thread.start()  # there may be room later
    thread.join()
    assert not thread.is_alive()


def test_local_of_a_subclass():
    class Mine(threading.local):
        number = 2
        made = 0

        def __init__(self, start):
            self.start = start
            Mine.made += 1

        def next(self):
            self.number += 1
            return self.number + self.start

    mine = Mine(10)
    assert (mine.number, mine.next(), mine.number) == (2, 13, 3)
    assert in_thread(lambda: (mine.number, mine.next(), mine.number, mine.start)) == (2, 13, 3, 10)
    assert mine.number == 3
    assert Mine.made == 2
    mine.other = 1
    del mine.other
    assert not hasattr(mine, "other")


def test_values_of_a_local_go_with_their_thread():
    if not MICROPYTHON:
        raise Skip("CPython's are counted by reference")
    values = threading.local()

    def work():
        values.big = bytearray(20000)

    gc.collect()
    before = gc.mem_alloc()
    for _ in range(50):  # a million bytes in all
        in_thread(work)
    gc.collect()
    assert gc.mem_alloc() - before < 60000


def test_the_hook_gets_what_ends_a_thread():
    seen = []
    before = threading.excepthook
    threading.excepthook = seen.append
    try:
        thread = threading.Thread(target=lambda: 1 // 0)
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    assert len(seen) == 1
    assert seen[0].exc_type is ZeroDivisionError
    assert isinstance(seen[0].exc_value, ZeroDivisionError)
    assert seen[0].thread is thread
    assert threading.__excepthook__ is before


def test_stack_size():
    before = threading.stack_size(262144)
    assert in_thread(lambda: 5) == 5
    assert threading.stack_size(before) == 262144
    try:
        threading.stack_size(-1)
        raise AssertionError("no error")
    except ValueError:
        pass


def test_native_ids_differ():
    mine = threading.get_native_id()
    assert mine == threading.main_thread().native_id
    assert in_thread(threading.get_native_id) != mine


def test_print_writes_whole_lines():
    if not MICROPYTHON:
        raise Skip("of MicroPython's print")
    pieces = []

    class Out:
        def write(self, text):
            pieces.append(text)

    print("a", 1, threading.Event, sep="-", end="!\n", file=Out())
    assert len(pieces) == 1
    assert pieces[0].startswith("a-1-") and pieces[0].endswith("!\n"), pieces
