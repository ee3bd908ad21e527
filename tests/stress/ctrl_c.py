"""Waits in every way until Ctrl-C comes, and shows that all is as before: run by tests/test_threading_programs.py.

Prints `waiting` before each wait; who runs it sends SIGINT then. Ends with `done`.
"""

import queue
import sys
import threading
import time

lock = threading.Lock()
lock.acquire()
event = threading.Event()
condition = threading.Condition()
semaphore = threading.Semaphore(0)
barrier = threading.Barrier(2)
items = queue.Queue(1)
full = queue.Queue(1)
full.put(1)
stop = threading.Event()
other = threading.Thread(target=stop.wait, args=(60,))
other.start()


def wait_in_condition(timeout=None):
    with condition:
        condition.wait(timeout)


WAITS = (
    ("get", items.get),
    ("get with a time-out", lambda: items.get(timeout=30)),
    ("put", lambda: full.put(2)),
    ("put with a time-out", lambda: full.put(2, timeout=30)),
    ("event", event.wait),
    ("event with a time-out", lambda: event.wait(30)),
    ("condition", wait_in_condition),
    ("condition with a time-out", lambda: wait_in_condition(30)),
    ("semaphore", semaphore.acquire),
    ("semaphore with a time-out", lambda: semaphore.acquire(timeout=30)),
    ("lock with a time-out", lambda: lock.acquire(timeout=30)),
    ("join", other.join),
    ("join with a time-out", lambda: other.join(30)),
)


def write(line):
    sys.stdout.write(line + "\n")
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


for name, wait in WAITS:
    try:
        write("waiting: " + name)
        wait()
        raise SystemExit("was not interrupted: " + name)
    except KeyboardInterrupt:
        pass
    for waiters in (event._waiters, condition._waiters, semaphore._waiters, lock._waiters, other._ended._waiters):
        assert not waiters or waiters is other._ended._waiters, name
    assert not items._getters.gates and not items._getters.coming, name
    assert not full._putters.gates and not full._putters.coming, name

# everything still works
results = []


def work():
    results.append(items.get(timeout=10))
    results.append(full.put(3, timeout=10))
    results.append(event.wait(10))
    results.append(semaphore.acquire(timeout=10))
    results.append(lock.acquire(timeout=10))
    with condition:
        results.append(condition.wait(10))


thread = threading.Thread(target=work)
thread.start()
for act in (lambda: items.put(1), full.get, event.set, semaphore.release, lock.release):
    time.sleep(0.05)
    act()
time.sleep(0.1)
with condition:
    condition.notify()
thread.join(10)
assert results == [1, None, True, True, True, True], results
stop.set()
other.join(10)
assert threading.active_count() == 1
write("done")
