"""`threading` and `queue` on a port like RP2: one thread beside the main one, and no sockets of the kind `_Alarm` uses.

Facts: MicroPython 1.25, ports/rp2/mpthreadport.c: "core1 in use" until that core has left the thread's function for
good, which is a moment after the function's last line. No board was at hand.
"""

import sys
import time

from run import Skip

MICROPYTHON = sys.implementation.name == "micropython"
LEAVING_S = 0.02  # what that core needs to be free again, here: a long time


class Module:
    """A module that has only these names."""


if MICROPYTHON:  # before anything of ours is imported
    import _thread as real

    def start_new_thread(function, args, kwargs=None):
        """One at a time."""
        if busy[0]:
            raise OSError("core1 in use")
        busy[0] = True

        def run():
            try:
                function(*args)
            finally:
                time.sleep(LEAVING_S)
                busy[0] = False

        return real.start_new_thread(run, ())

    busy = [False]
    rp2 = Module()
    for name in ("LockType", "allocate_lock", "exit", "get_ident", "stack_size"):
        setattr(rp2, name, getattr(real, name))
    rp2.start_new_thread = start_new_thread
    sys.modules["_thread"] = rp2
    sys.modules["socket"] = Module()


def on_that_board():
    if not MICROPYTHON:
        raise Skip("CPython has threads to spare")


def test_one_thread_after_the_other():
    on_that_board()
    import threading

    done = []
    for i in range(5):
        thread = threading.Thread(target=done.append, args=(i,))
        thread.start()
        thread.join()
        time.sleep(2 * LEAVING_S)  # what README.md says
    assert done == [0, 1, 2, 3, 4]


def test_two_at_once_are_one_too_many():
    on_that_board()
    import threading

    end = threading.Event()
    first = threading.Thread(target=end.wait)
    first.start()
    second = threading.Thread(target=end.wait)
    for _ in range(2):
        try:
            second.start()
        except RuntimeError as e:
            assert "can't start new thread" in str(e)
        else:
            raise AssertionError("started")
    assert threading.active_count() == 2
    end.set()
    first.join()
    time.sleep(2 * LEAVING_S)
    second.start()  # the same one, now
    second.join()
    time.sleep(2 * LEAVING_S)


def test_waits_with_a_time_out_and_without():
    on_that_board()
    import queue
    import threading

    assert not hasattr(threading._socket, "AF_UNIX")
    there, back = queue.Queue(2), queue.Queue()

    def work():
        while True:
            item = there.get()
            if item is None:
                return
            back.put(item * 2)

    thread = threading.Thread(target=work)
    thread.start()
    for i in range(50):
        there.put(i, timeout=5)
    there.put(None)
    assert [back.get(timeout=5) for _ in range(50)] == list(range(0, 100, 2))
    thread.join(5)
    assert not thread.is_alive()
    begun = time.ticks_ms()
    try:
        back.get(timeout=0.05)
    except queue.Empty:
        assert 50 <= time.ticks_diff(time.ticks_ms(), begun) < 1000
    else:
        raise AssertionError("an item from nowhere")
    assert not threading.Event().wait(0.01)
    time.sleep(2 * LEAVING_S)
