"""Bytes both ways between two processes through a pair of multiprocessing's queues, one for each direction.

A queue of multiprocessing blocks who puts and who gets. So a thread on each side does that for each direction, and what
it gets and puts goes through `bourn.local_queue`, as between threads: the rest of the hub, and of the sensor, waits for
nobody. The bound is that of the local queue, and the pipe inside multiprocessing's. The end of a process, however it
comes, is the end of its queues; each side therefore lets go of the ends that are not its own.
"""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import threading
from multiprocessing.queues import SimpleQueue
from typing import Any, NamedTuple

from bourn.local_queue import End, Way

CONTEXT = multiprocessing.get_context("spawn")  # a hub has threads, and fork would copy their locks

_numbers = itertools.count(1)
_pairs: dict[int, Pair] = {}
_lock = threading.Lock()


class Pair(NamedTuple):
    """The queues of one connection. A process that is started with it by `CONTEXT` inherits them."""

    number: int  # by which the sensor finds it in its process
    up: SimpleQueue[bytes]  # from a sensor to its hub
    down: SimpleQueue[bytes]


def make_pair() -> Pair:
    """Two fresh queues."""
    return Pair(next(_numbers), CONTEXT.SimpleQueue(), CONTEXT.SimpleQueue())


def leave(pair: Pair) -> None:
    """From now on a sensor in this process can `find` it."""
    with _lock:
        _pairs[pair.number] = pair


def find(number: int) -> Pair:
    """The pair with that number, once. OSError when there is none, or it was taken."""
    with _lock:
        pair = _pairs.pop(number, None)
    if pair is None:
        raise OSError(errno.ECONNREFUSED, f"this process has inherited no queues of number {number}, or has used them")
    return pair


def forget(number: int) -> None:
    """A process has inherited the pair: close the sensor's ends of it here."""
    with _lock:
        pair = _pairs.pop(number, None)
    if pair is not None:
        _writer(pair.up).close()
        _reader(pair.down).close()


def inherit(pair: Pair) -> None:
    """In a sensor's process: close the hub's ends of its pair, and `leave` it there."""
    _reader(pair.up).close()
    _writer(pair.down).close()
    leave(pair)


def attach(into: SimpleQueue[bytes], out: SimpleQueue[bytes]) -> End:
    """One side's end: what comes from `into`, and goes to `out`."""
    end = End(Way(), Way())
    room = threading.Event()
    end.into.ring_back = room.set
    threading.Thread(target=_bring, args=(into, end, room), name="queue-in", daemon=True).start()
    threading.Thread(target=_take_away, args=(end.out, out), name="queue-out", daemon=True).start()
    return end


def _bring(queue: SimpleQueue[bytes], end: End, room: threading.Event) -> None:
    """In a thread: what comes, until the other side has ended."""
    try:
        while not end.into.ended:
            data = queue.get()
            while data:
                room.clear()
                try:
                    data = data[end.into.put(data) :]
                except BlockingIOError:
                    room.wait()
    except (EOFError, OSError):
        pass  # it has ended, or this side has: which is told now, whatever was the reason
    end.into.end()
    end.out.end()
    _reader(queue).close()


def _take_away(way: Way, queue: SimpleQueue[bytes]) -> None:
    """In a thread: what goes, until this side has ended."""
    something = threading.Event()
    way.ring = something.set
    something.set()  # what came before there was somebody to ring for
    ended = False
    try:
        while not ended:
            something.wait()
            something.clear()
            ended = way.ended  # asked for first: what is in it comes before its end
            pieces = way.take()
            if pieces:
                queue.put(b"".join(pieces))
    except OSError:  # the other side has ended
        way.end()
    _writer(queue).close()


# A queue's own close() closes both ends, and the end of a process would not be seen while others have its ends.


def _reader(queue: Any) -> Any:
    return queue._reader


def _writer(queue: Any) -> Any:
    return queue._writer
