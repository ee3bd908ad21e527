# heap: 512k
# timeout: 60
"""`queue` where CPython 3.11's own tests do not look: shutdown, what programs reach into, order, growth."""

import queue
import threading
import time

from run import Skip

MICROPYTHON = hasattr(time, "ticks_ms")


def raises(kind, function, *arguments, **more):
    """Whether the call raises that."""
    try:
        function(*arguments, **more)
    except kind:
        return True
    return False


def later(function, *arguments):
    """Call it in a thread; (thread, list of what it returned or raised)."""
    outcome = []

    def run():
        try:
            outcome.append(function(*arguments))
        except Exception as e:
            outcome.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.05)
    return thread, outcome


def needs_shutdown():
    if not hasattr(queue.Queue, "shutdown"):
        raise Skip("CPython has it since 3.13")


def test_shutdown_lets_what_is_there_be_got():
    needs_shutdown()
    items = queue.Queue()
    items.put(1)
    items.shutdown()
    assert raises(queue.ShutDown, items.put, 2)
    assert raises(queue.ShutDown, items.put_nowait, 2)
    assert items.get() == 1
    assert raises(queue.ShutDown, items.get)
    assert raises(queue.ShutDown, items.get_nowait)
    items.task_done()
    items.join()


def test_shutdown_at_once_forgets_it():
    needs_shutdown()
    items = queue.PriorityQueue()
    for i in range(3):
        items.put(i)
    items.shutdown(immediate=True)
    assert items.qsize() == 0
    assert raises(queue.ShutDown, items.get)
    items.join()


def test_shutdown_wakes_all_who_wait():
    needs_shutdown()
    empty, full = queue.Queue(), queue.Queue(1)
    full.put(1)
    waiting = [later(empty.get), later(empty.get, True, 30), later(full.put, 2), later(full.put, 2, True, 30)]
    joiner = later(full.join)
    empty.shutdown()
    full.shutdown(immediate=True)
    for thread, outcome in waiting:
        thread.join(10)
        assert isinstance(outcome[0], queue.ShutDown), outcome
    joiner[0].join(10)
    assert joiner[1] == [None]


def test_a_great_many_items_in_order():
    items = queue.Queue()
    for i in range(5000):
        items.put(i)
    assert items.qsize() == 5000
    assert [items.get() for _ in range(5000)] == list(range(5000))
    assert items.empty()


def test_what_programs_reach_into():
    items = queue.Queue(3)
    items.put("a")
    items.put("b")
    with items.mutex:
        assert list(items.queue) == ["a", "b"]
        assert len(items.queue) == 2
        items.queue.append("c")  # as on CPython: nobody is told
    assert items.full()
    assert items.unfinished_tasks == 2
    assert [items.get() for _ in range(3)] == ["a", "b", "c"]
    thread, outcome = later(items.join)
    with items.all_tasks_done:
        assert items.unfinished_tasks == 2
    items.task_done()
    items.task_done()
    thread.join(10)
    assert outcome == [None]
    assert raises(ValueError, items.task_done)


def test_a_subclass_with_a_store_of_its_own():
    class Latest(queue.Queue):
        def _init(self, maxsize):
            self.values = {}
            self.order = []

        def _qsize(self):
            return len(self.order)

        def _put(self, pair):
            key, value = pair
            if key not in self.values:
                self.order.append(key)
            self.values[key] = value

        def _get(self):
            key = self.order.pop(0)
            return key, self.values.pop(key)

    items = Latest(2)
    items.put(("a", 1))
    items.put(("b", 2))
    assert items.full()
    assert raises(queue.Full, items.put, ("c", 3), False)
    thread, outcome = later(items.put, ("c", 3))
    assert items.get() == ("a", 1)
    thread.join(10)
    assert outcome == [None]
    assert [items.get(timeout=1), items.get_nowait()] == [("b", 2), ("c", 3)]
    assert raises(queue.Empty, items.get, timeout=0.01)


def test_who_waits_longest_is_served_when_nobody_is_quicker():
    items = queue.Queue()
    waiting = [later(items.get) for _ in range(4)]
    for i in range(4):
        items.put(i)
        time.sleep(0.02)
    for thread, _ in waiting:
        thread.join(10)
    assert [outcome for _, outcome in waiting] == [[0], [1], [2], [3]]


def test_a_burst_wakes_all_it_is_for():
    items = queue.Queue()
    waiting = [later(items.get) for _ in range(8)]
    for i in range(8):
        items.put(i)
    for thread, _ in waiting:
        thread.join(10)
        assert not thread.is_alive()
    assert sorted(outcome[0] for _, outcome in waiting) == list(range(8))


def test_time_outs_between_puts_lose_nothing():
    items = queue.Queue()
    got = [0] * 3

    def consume(n):
        while True:
            try:
                if items.get(timeout=0.0004 + 0.0003 * n) is None:
                    return
                got[n] += 1
            except queue.Empty:
                pass

    threads = [threading.Thread(target=consume, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for i in range(300):
        items.put(i)
        if i % 3 == 0:
            time.sleep(0.0005)
    for _ in threads:
        items.put(None)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert sum(got) == 300, got
    if MICROPYTHON:
        assert not items._getters.gates and not items._getters.coming


def test_a_queue_in_a_full_swing_allocates_nothing():
    if not MICROPYTHON:
        raise Skip("of MicroPython")
    import gc

    there, back = queue.Queue(), queue.Queue(1)

    def answer():
        while there.get() is not None:
            back.put(1)

    thread = threading.Thread(target=answer)
    thread.start()
    for _ in range(50):
        there.put(1)
        back.get()
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(300):
        there.put(1)
        back.get()
    taken = gc.mem_alloc() - before
    there.put(None)
    thread.join()
    # on 32 bits an ident is an int too large to be free: 16 bytes for each wake-up
    assert taken < 300 * 2 * 40, taken
