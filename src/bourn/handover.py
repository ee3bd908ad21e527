"""From one thread to another: a sink on any thread, a source on the one that waits.

Theory. A flow belongs to one thread: nothing in it has a lock. A hand-over cuts it in two. What comes in is put into a
ring; everything that both sides touch is guarded by the one lock, and it is held for moves between variables only,
never while anyone else's code runs. Taking a lock and letting it go is also what makes the writes of one processor
visible on another, so this holds without a GIL and on a machine with weak memory order.

A wake-up is not lost: whether the ring is empty is decided under the lock, and who finds it so is asleep, in that
lock's condition, before an event can come. Who takes an event out wakes one who waits for room. Those waits have no
time-out, so that none can swallow what was meant for another.
"""

from bourn._compat.threads import threads
from bourn.ring import Ring
from bourn.things import OutputThing


class Handover(OutputThing):
    """Emits on the thread that calls `wait` or `step` what other threads give to `on_next`, in order, and then the end.

    `source.connect(handover)` on one side; `handover.pipe(...)` and `Scheduler(wait=handover.wait)` on the other, or
    `handover.run_forever()` where nothing else is to be done. At most `bound` events are between the two; `policy` says
    what happens to one more: "block" lets its thread wait, the others are those of `Ring`. `wake()` is called, on the
    giving thread, when something has come into an empty hand-over: for a loop that waits in its own way
    (`lambda: loop.call_soon_threadsafe(handover.step)`). Needs `threading`.

    `Handover(100, "drop_oldest")`
    """

    def __init__(self, bound=None, policy="block", wake=None):
        super().__init__()
        threading = threads()
        self._blocks = policy == "block"
        self._wake = wake
        self._ident = threading.get_ident
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)  # something has come: the taking thread waits here
        self._room = threading.Condition(self._lock)  # something was taken: with "block" the giving threads wait here
        # Guarded by the lock, all of what follows.
        self._ring = Ring(bound, policy)
        self._taker = None  # the thread that takes
        self._over = False  # nothing is accepted any more
        self._told = False  # the end was dispatched, or nobody wants to know
        self._error = None
        self._accepted = 0
        self._dropped = 0  # after the end; the ring counts its own
        self._waited = 0
        # Who sleeps, for a `notify` to nobody costs memory.
        self._sleeps = False  # the taking thread does
        self._want_room = 0  # so many giving threads do

    # -- the giving side

    def on_next(self, x):
        """Accept `x`, or what the policy says. From any thread.

        RuntimeError with "block" on the thread that takes: it would wait for itself.
        """
        with self._lock:
            ring = self._ring
            if self._blocks and ring.full() and not self._over:
                if self._taker == self._ident():
                    raise RuntimeError("a full hand-over, and the one who empties it waits here")
                self._waited += 1
                self._wait_for_room()
            if self._over:
                self._dropped += 1
                return
            wakes = not ring.count
            ring.put(x)
            self._accepted += 1
            if self._sleeps:
                self._filled.notify()
        if wakes and self._wake:
            self._wake()

    def _wait_for_room(self):
        self._want_room += 1
        try:
            while self._ring.full() and not self._over:
                self._room.wait()
        except BaseException:  # Ctrl-C: the room that it was woken for is another's
            self._room.notify()
            raise
        finally:
            self._want_room -= 1

    def on_completed(self):
        """The end, after what is still between the threads. From any thread."""
        self.on_error(None)

    def on_error(self, e):
        """The end with the exception `e`, after what is still between the threads. From any thread."""
        with self._lock:
            if self._over:
                return
            self._over = True
            self._error = e
            wakes = not self._ring.count
            self._filled.notify()
            self._room.notify_all()
        if wakes and self._wake:
            self._wake()

    # -- the taking side: one thread

    def wait(self, ms=None):
        """Sleep until something is there, at most `ms` milliseconds (None: for ever); emit it. Returns how many."""
        with self._lock:
            if self._told and ms is None:
                return 0
            if not self._ring.count and (self._told or not self._over):
                self._sleeps = True
                try:
                    self._filled.wait(None if ms is None else ms / 1000)
                finally:
                    self._sleeps = False
        return self.step()

    def step(self):
        """Emit what is there, without waiting; returns how many. No more than `bound`, however fast others give."""
        with self._lock:
            if self._blocks:  # on 32 bits the number of a thread costs memory
                self._taker = self._ident()
            ring = self._ring
            count = ring.count
        done = 0
        while done < count:
            with self._lock:
                if not ring.count:  # a sink has called `step` or `close`
                    break
                x = ring.take()
                if self._want_room:
                    self._room.notify()
            done += 1
            self._emit(x)
        with self._lock:
            more = ring.count
            ends = self._over and not more and not self._told
            if ends:
                self._told = True
        if ends:
            self._dispatch_completed(self._error)
        elif more and self._wake:
            self._wake()
        return done

    def run_forever(self):
        """Wait and emit until the end has come."""
        while not self._told:
            self.wait()

    def close(self):
        """The taking side stops: what is between is dropped and counted, who waits for room goes on."""
        with self._lock:
            self._over = self._told = True
            self._ring.clear()
            self._filled.notify()
            self._room.notify_all()

    def counters(self):
        """{"accepted", "dropped" (of those, and after the end), "waited" (for room), "waiting" (in between now)}."""
        with self._lock:
            ring = self._ring
            return {
                "accepted": self._accepted,
                "dropped": ring.dropped + self._dropped,
                "waited": self._waited,
                "waiting": ring.count,
            }
