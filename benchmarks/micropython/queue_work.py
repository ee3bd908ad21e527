"""Six workloads with a queue, and how long waiting takes: the same file on CPython and on MicroPython.

    INTERPRETER benchmarks/micropython/queue_work.py queue|raw|waits [ITEMS]

`queue`: operations a second of the `queue.Queue` that it imports. `raw`: the same threads with nothing but two
`_thread` locks for the hand-off, the limit of the interpreter. `waits`: how late a notification and a time-out come, in
microseconds, and how often ten idle waiters wake in a second. A line for each: its name and numbers.
"""

import _thread
import gc
import os
import sys
import time

if hasattr(time, "ticks_us"):
    clock = time.ticks_us
    between = time.ticks_diff
else:

    def clock():
        return time.perf_counter_ns() // 1000

    def between(later, earlier):
        return later - earlier


def uncontended(new, count):
    """put and get in turn, one thread."""
    items = new(0)
    start = clock()
    for i in range(count):
        items.put(i)
        items.get()
    return count * 1000000 / between(clock(), start)


def ping_pong(new, count):
    """Round trips between two threads, one item each way."""
    count //= 10
    there, back = new(0), new(0)

    def answer():
        for _ in range(count):
            back.put(there.get())

    done = start_thread(answer)
    start = clock()
    for i in range(count):
        there.put(i)
        back.get()
    took = between(clock(), start)
    done.acquire()
    return count * 1000000 / took


def start_thread(function):
    """Start a thread; a lock that can be acquired when it has ended."""
    done = _thread.allocate_lock()
    done.acquire()

    def run():
        function()
        done.release()

    _thread.start_new_thread(run, ())
    return done


def crowd(threads, maxsize):
    """`threads` producers and as many consumers."""

    def work(new, count):
        items = new(maxsize)
        each = count // threads

        def produce():
            put = items.put
            for i in range(each):
                put(i)

        def consume():
            get = items.get
            for _ in range(each):
                get()

        start = clock()
        for done in [start_thread(one) for one in [produce] * threads + [consume] * threads]:
            done.acquire()
        return each * threads * 1000000 / between(clock(), start)

    return work


WORKLOADS = (
    ("uncontended", uncontended),
    ("ping-pong", ping_pong),
    ("1x1", crowd(1, 0)),
    ("4x4", crowd(4, 0)),
    ("1x1-100", crowd(1, 100)),
    ("4x4-100", crowd(4, 100)),
)


class Raw:
    """One item at a time between two locks."""

    def __init__(self, maxsize):
        self.free = _thread.allocate_lock()
        self.full = _thread.allocate_lock()
        self.full.acquire()

    def put(self, item):
        self.free.acquire()
        self.item = item
        self.full.release()

    def get(self):
        self.full.acquire()
        item = self.item
        self.free.release()
        return item


def measure(new, count):
    for name, work in WORKLOADS:
        gc.collect()
        print(name, int(work(new, count)))


def switches():
    """How often this process' threads have gone to sleep."""
    total = 0
    for task in os.listdir("/proc/self/task"):
        with open("/proc/self/task/" + task + "/status") as file:
            for line in file:
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split(":")[1])
    return total


def quantiles(name, found):
    found.sort()
    print(name, found[len(found) // 2], found[len(found) * 99 // 100], found[0])


def waits(count):
    import threading

    event, ready = threading.Event(), threading.Event()
    told = [0]
    delays = []

    def wait():
        for _ in range(count):
            event.wait(10)
            delays.append(between(clock(), told[0]))
            event.clear()
            ready.set()

    thread = threading.Thread(target=wait)
    thread.start()
    for _ in range(count):
        time.sleep(0.002)
        told[0] = clock()
        event.set()
        ready.wait()
        ready.clear()
    thread.join()
    quantiles("wake", delays)
    late = []
    for i in range(count):
        timeout_us = 1000 + i * 37 % 5000
        start = clock()
        event.wait(timeout_us / 1000000)
        late.append(between(clock(), start) - timeout_us)
    quantiles("late", late)
    threads = [threading.Thread(target=event.wait, args=(60,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    before = switches()
    start = clock()
    time.sleep(3)
    after = switches()
    print("idle", (after - before) * 1000000 / between(clock(), start))
    event.set()


what = sys.argv[1]
size = int(sys.argv[2]) if len(sys.argv) > 2 else 100000
if what == "queue":
    import queue

    measure(queue.Queue, size)
elif what == "raw":
    measure(Raw, size // 5)
else:
    waits(size // 100)
