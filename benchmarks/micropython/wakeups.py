"""The cost of a wake-up on this interpreter: a line for each number of tasks, for benchmarks/scheduler.py."""

import gc
import time

from bourn.scheduler import Scheduler
from bourn.testing.clock import ManualClock

ROUNDS = 2000
REPEATS = 7


def nothing():
    pass


def measure(tasks, same):
    """(ns for each that ran, ns per wake-up, tasks run per wake-up, bytes per wake-up or -1): the best of some."""
    clock = ManualClock()
    scheduler = Scheduler(clock)
    for i in range(tasks):
        # all of one interval, or as many intervals as tasks
        scheduler.schedule_recurring(nothing, 10 if same else 10 + i % 97)
    rounds = max(50, ROUNDS // tasks)
    best = None
    for _ in range(REPEATS):
        best = least(best, once(scheduler, rounds))
    return best


def once(scheduler, rounds):
    """One measurement of `rounds` wake-ups."""
    gc.collect()
    used = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
    ran = 0
    began = now_us()
    for _ in range(rounds):
        ran += scheduler.run_due(scheduler.next_wake())
    passed = now_us() - began
    used = (gc.mem_alloc() - used) / rounds if hasattr(gc, "mem_alloc") else -1
    return passed * 1000 / ran, passed * 1000 / rounds, ran / rounds, used


def least(one, other):
    """The one with the least time for each task that ran: the machine is shared."""
    return other if one is None or other[0] < one[0] else one


def now_us():
    """Microseconds; they do not wrap within a run on 64 bits."""
    return time.ticks_us() if hasattr(time, "ticks_us") else time.perf_counter_ns() // 1000


for tasks in (1, 10, 100):
    for same in (True, False) if tasks > 1 else (True,):
        print(tasks, int(same), *measure(tasks, same)[1:])
