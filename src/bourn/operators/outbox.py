"""An outbox before a sink that may be out of reach: nothing accepted is lost while it is."""

from bourn._compat.system import random_bytes
from bourn.operators.again import Backoff
from bourn.operators.stage import Stage, Timer, milliseconds, staged
from bourn.spool import Gap
from bourn.spool.ram import RamFirst, RamSpool
from bourn.things import SensorEvent

AT_ONCE = 16  # readings out of the spool at a time: what a small board has room for


class _Outbox(Stage):
    # Nothing is emitted while the timer runs: the sink has failed and is left alone. An end waits for the last reading.
    def __init__(self, chain, box, backoff, counters):
        self._box = box
        self._backoff = backoff
        self._counters = counters
        self._timer = Timer(chain, self._drain)
        self._emitting = False  # a sink may cause another event
        self._raised = None  # what was not the sink's trouble but the event's
        self._ending = None  # (error or None,): the stream has ended, and this is how

    def on_next(self, x):
        sensor_id, ts, val = x
        try:
            # a plain tuple: a board's json can't write a named one
            if self._box.append((sensor_id, ts, val)) is None:
                self._counters["refused"] += 1
        except OSError:  # the medium; what is there already is still sent
            self._counters["lost"] += 1
        self._drain_unless_waiting()

    def on_completed(self):
        self._ending = (None,)
        self._drain_unless_waiting()

    def on_error(self, e):
        if e is self._raised:  # the policy of the sink has ended it: it gets no more
            self.end(e)
            return
        self._ending = (e,)
        self._drain_unless_waiting()

    def begin(self, chain):
        """Send what an earlier run has left, if time can be had already; else that waits for the first event."""
        if self._box.waiting() and chain.root().scheduler is not None:
            self._timer.start(1)
        return self._forget

    def _forget(self):
        # The chain is detached: what is in RAM goes to the spool. Where there is none it waits in the operator.
        try:
            self._box.sync()
        except OSError:
            self._counters["failures"] += 1

    def _drain_unless_waiting(self):
        if not self._timer.running() and not self._emitting:
            self._drain()

    def _drain(self):
        box = self._box
        self._emitting = True
        try:
            entries = box.read(box.acked(), AT_ONCE)
            while entries:
                for place, record in entries:
                    if isinstance(record, Gap):
                        self._counters["gaps"] += 1
                    elif not self._deliver(place, record):
                        return
                    box.ack(place)
                box.trim()
                entries = box.read(box.acked(), AT_ONCE)
        finally:
            self._emitting = False
        if self._ending:
            self.end(self._ending[0])

    def _deliver(self, place, record):
        """True when the sink has it. Only OSError is the sink's trouble; with another the event is not repeated."""
        try:
            self.emit(SensorEvent(record[0], record[1], record[2]))
        except OSError:
            self._counters["failures"] += 1
            self._timer.start(self._backoff.pause())
            return False
        except Exception as e:
            self._box.ack(place)
            self._raised = e
            if self._box.waiting() or self._ending:
                self._timer.start(1)  # unless the policy ends it
            raise
        self._backoff.failures = 0
        return True


def outbox(spool=None, ram=100, policy="drop_oldest", s=1, cap_s=60, random=random_bytes):
    """Keep each reading until the sink has taken it: a sink that raises OSError is tried again, in order.

    At most `ram` readings wait in RAM. When there is no more room, and when the chain is detached, they are all written
    to `spool` (a SegmentSpool opened with `sync_each=False`), whose own bound and policy then count: so flash is
    written only while the sink is out of reach for long. Without a `spool` there is RAM alone, with `policy`
    "drop_oldest"
    or "drop_newest". The pause after a failure is `s` seconds, doubled up to `cap_s`, and of it a random half.

    A reading may arrive twice, but not out of order. Other exceptions than OSError are for the policy of the sink, and
    that reading is not repeated. The end of the stream, of either kind, is told after the last reading. Give each sink
    an outbox of its own: where several share a chain each is guarded, and the outbox learns of no failure.
    `counters`: "refused" and "lost" (the medium failed) were not taken, "gaps" were dropped by policy; "failures".

    >>> marbles("a-|", outbox(ram=200), "a-|", values={"a": SensorEvent("t1", 0, 21)})
    """
    ms = milliseconds(s)
    cap_ms = milliseconds(cap_s)
    box = RamSpool(ram, policy, random=random) if spool is None else RamFirst(spool, ram)
    counters = {"refused": 0, "lost": 0, "gaps": 0, "failures": 0}
    return staged(
        lambda chain: _Outbox(chain, box, Backoff(ms, cap_ms, random), counters),
        "outbox",
        (ram,),
        lambda state, chain: state.begin(chain),
        counters,
    )
