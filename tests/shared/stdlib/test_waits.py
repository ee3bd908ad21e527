# heap: 512k
# timeout: 120
"""Waiting: never early, soon after the notification, without a wake-up in between, and with nothing left behind."""

import gc
import os
import sys
import threading
import time

from run import Skip

MICROPYTHON = hasattr(time, "ticks_ms")
if MICROPYTHON:

    def clock_us():
        return time.ticks_us()

    between = time.ticks_diff
else:

    def clock_us():
        return time.monotonic_ns() // 1000

    def between(later, earlier):
        return later - earlier


def waits():
    """(name, function of a time-out in seconds that waits in vain) of everything that has a time-out."""
    lock = threading.Lock()
    lock.acquire()
    held = threading.RLock()
    thread = threading.Thread(target=held.acquire)
    thread.start()
    thread.join()
    condition = threading.Condition()
    condition.acquire()
    semaphore = threading.Semaphore(0)
    event = threading.Event()
    import queue

    items = queue.Queue(1)

    def get(timeout):
        try:
            return items.get(timeout=timeout)
        except queue.Empty:
            return False

    full = queue.Queue(1)
    full.put(1)

    def put(timeout):
        try:
            full.put(2, timeout=timeout)
        except queue.Full:
            return False

    return (
        ("Lock", lambda t: lock.acquire(timeout=t)),
        ("Lock, positional", lambda t: lock.acquire(True, t)),
        ("Condition", condition.wait),
        ("wait_for", lambda t: condition.wait_for(lambda: False, t)),
        ("Semaphore", lambda t: semaphore.acquire(timeout=t)),
        ("Event", event.wait),
        ("get", get),
        ("put", put),
    )


def test_no_wait_ends_early():
    for name, wait in waits():
        for timeout in (0.02, 0.0205, 0.003, 0.0001):
            start = clock_us()
            assert not wait(timeout), name
            took = between(clock_us(), start)
            assert took >= timeout * 1000000 - 1, (name, timeout, took)
            assert took < timeout * 1000000 + 2000000, (name, timeout, took)


def test_no_time_is_no_wait():
    for name, wait in waits():
        start = clock_us()
        assert not wait(0), name
        assert between(clock_us(), start) < 1000000


def test_a_notification_in_time_counts():
    event = threading.Event()
    condition = threading.Condition()
    semaphore = threading.Semaphore(0)
    lock = threading.Lock()
    lock.acquire()
    results = []

    def work():
        results.append(event.wait(60))
        results.append(semaphore.acquire(timeout=60))
        results.append(lock.acquire(timeout=60))
        with condition:
            results.append(condition.wait(60))

    thread = threading.Thread(target=work)
    thread.start()
    for act in (event.set, semaphore.release, lock.release):
        time.sleep(0.05)
        act()
    time.sleep(0.05)
    with condition:
        condition.notify()
    thread.join(30)
    assert results == [True] * 4, results


def test_a_notification_at_the_time_out_is_not_lost():
    """Each notify either finds a waiter, who then returns True, or none; the sums agree."""
    if not MICROPYTHON:
        raise Skip("CPython's can lose one")
    condition = threading.Condition()
    answers = []
    notified = 0

    def work():
        for i in range(300):
            with condition:
                waiting.append(1)
                answer = condition.wait(0.0005 + 0.0001 * (i % 7))
                waiting.pop()
            answers.append(answer)
        with condition:
            over.append(1)

    waiting = []
    over = []
    thread = threading.Thread(target=work)
    thread.start()
    while not over:
        with condition:
            notified += condition._wake(1)
        time.sleep(0.0006)
    thread.join()
    assert len(answers) == 300
    assert sum(answers) == notified, (sum(answers), notified)
    assert len(condition._waiters) == 0


def test_no_permit_is_lost_between_time_outs():
    semaphore = threading.Semaphore(0)
    taken = [0] * 4

    def work(n):
        while True:
            if semaphore.acquire(timeout=0.001):
                taken[n] += 1
            elif over.is_set():
                return

    over = threading.Event()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for i in range(400):
        semaphore.release()
        if i % 4 == 0:
            time.sleep(0.001)
    over.set()
    for thread in threads:
        thread.join(30)
    while semaphore.acquire(False):
        taken[0] += 1
    assert sum(taken) == 400, taken


def descriptors():
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_timed_waits_leave_nothing_behind():
    event = threading.Event()
    event.wait(0.001)
    try:
        before = descriptors()
    except OSError:
        raise Skip("no /proc here")
    gc.collect()
    allocated = gc.mem_alloc() if MICROPYTHON else 0
    for _ in range(5000):
        event.wait(0.000001)
    gc.collect()
    if MICROPYTHON:
        assert gc.mem_alloc() - allocated < 1000
    threads = [threading.Thread(target=event.wait, args=(0.05,)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert descriptors() <= before + 8, (before, descriptors())


def switches():
    """How often the threads of this process have gone to sleep so far."""
    total = 0
    for task in os.listdir("/proc/self/task"):
        with open("/proc/self/task/" + task + "/status") as file:
            for line in file:
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split(":")[1])
    return total


def test_idle_waiters_do_not_wake():
    try:
        switches()
    except OSError:
        raise Skip("no /proc here")
    event = threading.Event()
    lock = threading.Lock()
    lock.acquire()
    targets = [lambda: event.wait(60), lambda: lock.acquire(timeout=60)] * 5
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    before = switches()
    time.sleep(1)
    woken = switches() - before
    event.set()
    for _ in range(5):
        lock.release()
        time.sleep(0.05)
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert woken <= 10, woken  # a few are of the one that counts; polling would be 200 to 2000


def test_without_descriptors_a_wait_polls():
    if not MICROPYTHON or not threading._socket:
        raise Skip("of the port with sockets")

    class NoSocket:
        AF_UNIX = SOCK_DGRAM = 1

        def socket(self, *args):
            raise OSError(24, "too many open files")

    spare, threading._alarms[:] = threading._alarms[:], []
    before, threading._socket = threading._socket, NoSocket()
    try:
        test_no_wait_ends_early()
        test_a_notification_in_time_counts()
    finally:
        threading._socket = before
        threading._alarms.extend(spare)


def test_where_there_are_no_sockets_at_all():
    if not MICROPYTHON:
        raise Skip("of MicroPython")
    before, threading._socket = threading._socket, None
    try:
        test_no_wait_ends_early()
        test_a_notification_in_time_counts()
        test_no_permit_is_lost_between_time_outs()
    finally:
        threading._socket = before


def test_long_time_outs():
    event = threading.Event()
    threading.Timer(0.05, event.set).start()
    assert event.wait(threading.TIMEOUT_MAX)
    try:
        event.clear()
        event.wait(threading.TIMEOUT_MAX * 2)
        raise AssertionError("no error")
    except OverflowError:
        pass
    assert sys.maxsize > 0


def test_what_nobody_waits_for_allocates_nothing():
    if not MICROPYTHON:
        raise Skip("CPython does not count its heap")
    event, semaphore = threading.Event(), threading.Semaphore(1)
    condition = threading.Condition(threading.Lock())  # an RLock asks for its ident: 16 bytes on 32 bits

    def notify():
        with condition:
            condition.notify()
            condition.notify_all()

    def permit():
        with semaphore:
            pass

    for work in (notify, permit, event.set, event.is_set, event.clear):
        work()
        gc.disable()
        before = gc.mem_alloc()
        work()
        after = gc.mem_alloc()
        gc.enable()
        assert after == before, (work, after - before)
