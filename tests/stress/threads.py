"""Queues and locks under stress: `INTERPRETER tests/stress/threads.py SECONDS SEED`; one line for each kind, or an
error.

Four producers and four consumers with queues of all sizes, blocking, with tiny time-outs and without waiting;
semaphores, conditions and locks with time-outs beside them. Every item must arrive once, those of one producer in their
order; every permit and every notification must be accounted for. All randomness comes from the seed.
"""

import queue
import sys
import threading
import time

SECONDS = float(sys.argv[1])
SEED = int(sys.argv[2])
THREADS = 4
EACH = 5000 if sys.maxsize > 2**32 else 1000
ITEMS = 4 * EACH  # of each producer


class Random:
    """A small generator: one for each thread, since MicroPython's own is shared and has no lock."""

    def __init__(self, seed):
        self.state = (seed * 2654435761 + 1) & 0x3FFFFFFF

    def below(self, n):
        self.state = (self.state * 69069 + 12345) & 0x3FFFFFFF
        return (self.state >> 8) % n


errors = []  # under errors_lock
errors_lock = threading.Lock()


def guarded(function, *args):
    """A thread that notes its error."""

    def run():
        try:
            function(*args)
        except BaseException as e:
            with errors_lock:
                errors.append(repr(e))
            if hasattr(sys, "print_exception"):
                sys.print_exception(e)

    return threading.Thread(target=run)


def run_all(threads):
    """Start, join, and fail where a thread failed or hangs."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "hangs: %r" % thread
    assert not errors, errors


def put(items, item, random):
    """Put in one of four ways, until it is in."""
    way = random.below(8)
    while True:
        try:
            if way == 0:
                items.put(item, timeout=random.below(20) / 10000)
            elif way == 1:
                items.put_nowait(item)
            else:
                items.put(item)
            return
        except queue.Full:
            way = random.below(8)


def get(items, random):
    """Get in one of four ways, until there is one."""
    way = random.below(8)
    while True:
        try:
            if way == 0:
                return items.get(timeout=random.below(20) / 10000)
            if way == 1:
                return items.get_nowait()
            return items.get()
        except queue.Empty:
            way = random.below(8)


def queues(seed):
    """Four and four, every item once and in order; how many items."""
    random = Random(seed)
    items = queue.Queue((0, 1, 2, 10, 100)[random.below(5)])
    received = [[] for _ in range(THREADS)]  # each list is one thread's own

    def produce(n):
        mine = Random(seed + n)
        for i in range(ITEMS):
            put(items, n * ITEMS + i, mine)

    def consume(n):
        mine = Random(seed + 100 + n)
        got = received[n]
        for _ in range(ITEMS):
            got.append(get(items, mine))
            items.task_done()

    run_all([guarded(f, n) for n in range(THREADS) for f in (produce, consume)])
    items.join()
    assert items.empty() and not items._getters.gates and not items._putters.gates
    seen = bytearray(THREADS * ITEMS)
    for got in received:
        last = [-1] * THREADS
        for item in got:
            seen[item] += 1
            assert item > last[item // ITEMS], "out of order"
            last[item // ITEMS] = item
    assert min(seen) == max(seen) == 1, "lost or doubled"
    return THREADS * ITEMS


def permits(seed):
    """A semaphore with time-outs on both sides; how many permits."""
    semaphore = threading.Semaphore(0)
    taken = [0] * THREADS
    total = EACH // 5 * THREADS

    def give(n):
        mine = Random(seed + n)
        for _ in range(EACH // 5):
            semaphore.release()
            if mine.below(20) == 0:
                time.sleep(0.0001)

    def take(n):
        mine = Random(seed + 50 + n)
        for _ in range(EACH // 5):
            while not semaphore.acquire(timeout=mine.below(10) / 10000):
                pass
            taken[n] += 1

    run_all([guarded(f, n) for n in range(THREADS) for f in (give, take)])
    assert sum(taken) == total and not semaphore.acquire(False) and not semaphore._waiters
    return total


def notifications(seed):
    """A condition whose waiters time out at any moment; how many waits. Who was told returns True, and nobody else."""
    condition = threading.Condition()
    answers = [0] * THREADS
    left = [THREADS]

    def wait(n):
        mine = Random(seed + n)
        for _ in range(EACH // 10):
            with condition:
                if condition.wait(mine.below(10) / 10000):
                    answers[n] += 1
        with condition:
            left[0] -= 1

    def tell():
        mine = Random(seed + 77)
        while left[0]:
            with condition:
                told[0] += condition._wake(1 + mine.below(2))
            if mine.below(4) == 0:
                time.sleep(0.0002)

    told = [0]
    run_all([guarded(wait, n) for n in range(THREADS)] + [guarded(tell)])
    assert sum(answers) == told[0], (sum(answers), told[0])
    assert not condition._waiters
    return EACH // 10 * THREADS


def locks(seed):
    """A lock and a recursive one, with and without time-outs; how often one was held."""
    lock, recursive = threading.Lock(), threading.RLock()
    counts = [0, 0]

    def work(n):
        mine = Random(seed + n)
        for _ in range(EACH // 5):
            which = mine.below(2)
            one = (lock, recursive)[which]
            while not (one.acquire(timeout=mine.below(10) / 10000) if mine.below(2) else one.acquire()):
                pass
            if which:
                with recursive:
                    counts[which] += 1
            else:
                counts[which] += 1
            one.release()

    run_all([guarded(work, n) for n in range(THREADS)])
    assert sum(counts) == EACH // 5 * THREADS, counts
    assert not lock.locked() and not lock._waiters
    return sum(counts)


def main():
    """Rounds until the time is over."""
    start = time.time()
    seed = SEED
    totals = {}
    kinds = (queues, queues, queues, permits, notifications, locks)
    while time.time() - start < SECONDS:
        for kind in kinds:
            if time.time() - start >= SECONDS and totals:
                break
            name = kind.__name__
            try:
                totals[name] = totals.get(name, 0) + kind(seed)
            except BaseException:
                print("failed: %s with seed %d (this run's was %d)" % (name, seed, SEED))
                raise
            seed += 1
    for name in sorted(totals):
        print(name, totals[name])
    print("seed", SEED, "ok")


main()
