"""Lets an outbox go on over a deep sleep: its epoch, its numbers, and what it holds in RAM.

    asleep = DeepSleep(machine.RTC().memory, machine.deepsleep)
    clock = BoardClock(asleep.clock)
    outbox = RamFirst(SegmentSpool("outbox", sync_each=False), 20)
    carry(asleep, outbox, clock)                     # at every start, before anything is appended
    sender = Sender(url, name, TimedSpool(outbox, clock), clock)

Without it each wake-up begins a new epoch, with a file of its own where something is written; and where the time is not
known yet, nobody can tell later when the readings of an earlier wake-up were taken. An epoch goes on only out of a
record that was made on the way into this sleep: DeepSleep takes it out of the memory as it reads it, so that after a
watchdog's reset, when more was appended than the record knows, the epoch is a new one.

The record is JSON: [epoch, last number given, last acknowledged, ms from the clock's time to the time of day or null,
[reading, ...]]. What is too long for it goes to the flash before the sleep.
"""

import json

from bourn.spool.ram import RamSpool


def carry(asleep, outbox, clock=None):
    """Let `outbox` (a RamFirst that was just opened) and `clock` (a BoardClock) be as before the sleep; True if it was.

    From now on they are kept at each sleep. A state of `asleep` that is not ours is a ValueError: it has room for one.
    """
    carried = bool(asleep.state)
    if carried:
        epoch, seq, acked, offset, records = json.loads(asleep.state)
        outbox.epoch = outbox.spool.epoch = epoch
        outbox.spool.seq = seq - len(records)
        ram = RamSpool(outbox._ram._ram, "block", epoch, seq)
        ram._records = [tuple(record) for record in records]
        ram._open = seq + 1 - len(records)
        outbox._ram = ram
        if acked or not [1 for s in outbox.spool._segments if s.epoch != epoch]:
            outbox.spool.ack((epoch, acked))  # else what older epochs left waits still, and this would cover it
        if clock is not None and clock.offset is None and offset is not None:
            clock.offset = offset
    asleep.before_sleep = lambda: asleep.keep(_record(outbox, clock, asleep.state_bytes))
    return carried


def _record(outbox, clock, limit):
    """The record, at most `limit` bytes long."""
    record = _packed(outbox, clock)
    if len(record) > limit:
        try:
            outbox.sync()
        except OSError:  # the flash is full or broken: the oldest readings go, and are a gap
            while len(record) > limit and outbox._ram._records:
                outbox._ram._records.pop(0)
                outbox.counters["dropped"] += 1
                record = _packed(outbox, clock)
            return record
        record = _packed(outbox, clock)
    return record


def _packed(outbox, clock):
    acked = outbox.acked()
    acked = acked[1] if acked and acked[0] == outbox.epoch else 0
    offset = clock.offset if clock is not None else None
    ram = outbox._ram
    records = [record for _, record in ram.read((ram.epoch, ram.first() - 1), ram.waiting())]
    return json.dumps([outbox.epoch, outbox.seq, acked, offset, records]).encode()
