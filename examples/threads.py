"""Two threads with a queue between them: the same file on CPython and on MicroPython, with the same output.

python examples/threads.py
MICROPYPATH=stdlib micropython examples/threads.py
"""

import queue
import threading
import time


def now():
    """The ISO time, UTC, to the second."""
    return "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}".format(*time.gmtime()[:6])


def produce(items):
    for i in range(4):
        items.put(i)
        print(threading.current_thread(), now(), "enqueue", i)
        time.sleep(1)
    items.put(None)
    print(threading.current_thread(), now(), "finished iterations, exiting.")


def consume(items):
    while True:
        i = items.get()
        if i is None:
            break
        print(threading.current_thread(), now(), "dequeue", i)
    print(threading.current_thread(), now(), "received stop message, exiting.")


def main():
    items = queue.Queue()
    t1 = threading.Thread(target=produce, name="t1", args=(items,))
    t2 = threading.Thread(target=consume, name="t2", args=(items,))
    print(threading.current_thread(), now(), "Started.")
    t1.start()
    t2.start()
    t1.join()
    t2.join()
    print(threading.current_thread(), now(), "finished.")


main()
