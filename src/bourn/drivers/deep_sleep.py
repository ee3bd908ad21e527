"""Deep sleep between wake-ups: the board is off, the program starts anew, and the grid goes on as if nothing had been.

Before it sleeps, a record goes into memory that survives: the planner's time, how far everything has run, how long the
sleep is to be, and bytes of the program's own. A record counts only with its CRC. Then the clock continues with the
slept time added, and each task is due at its first grid point after the last round: what fell due during the sleep and
the boot runs late, once, and is not lost. Without a valid record (power on, a flat battery) everything starts at 0.

    record, big-endian: b"Bo" 1 | now u64 | ran u64 | sleep u32 | rtc u64 | phase i64 | state | crc32 u32
"""

import struct

from bourn._compat.system import crc32
from bourn.clock import Clock
from bourn.grid import rebase

HEAD = ">2sBQQIQq"
HEAD_BYTES = struct.calcsize(HEAD)
STATE_BYTES = 400  # of the program's own; with the rest it fits the 492 bytes that an ESP8266 has
LONGEST_MS = 3600000  # of one sleep, for the boards that can't do more than 71 minutes


class DeepSleep:
    """Keeps a scheduler's grid over `sleep(ms)`, which is `machine.deepsleep` on a board and does not return there.

    `memory()` gives the kept bytes, `memory(data)` keeps them: on a board `machine.RTC().memory`. With `rtc_ms`, a
    function whose milliseconds go on during the sleep, what was slept is measured; without it the time asked for
    counts, plus `boot_ms` from waking to here (`time.ticks_ms()`, where the counter begins when the board wakes). A
    board that a pin wakes early, or that can't sleep longer than `longest_ms`, has nothing due and sleeps on.

    `survived` says whether a valid record was found, and `state` holds the bytes that `keep` was given: only then, and
    only with them, may an outbox's epoch (`bourn.spool.asleep`) or an operator's state go on. They count once: a reset
    without a sleep finds none. `before_sleep()` is called on the way into each sleep, to keep what is to be kept.

        asleep = DeepSleep(machine.RTC().memory, machine.deepsleep); scheduler = Scheduler(asleep.clock)
        scheduler.schedule_sensor(sensor, 60, sink); asleep.run(scheduler)
    """

    before_sleep = None

    def __init__(
        self,
        memory,
        sleep,
        rtc_ms=None,
        boot_ms=0,
        clock=None,
        shortest_ms=1000,
        longest_ms=LONGEST_MS,
        state_bytes=STATE_BYTES,
    ):
        self.clock = clock or Clock()
        self.state_bytes = state_bytes  # an ESP32 has room for 2048 - 48
        self._memory = memory
        self._sleep = sleep
        self._rtc_ms = rtc_ms
        self._boot_ms = boot_ms
        self._longest_ms = longest_ms
        self._shortest_ms = shortest_ms  # a start of the program costs more than this much of being awake
        self.survived = False
        self.state = b""
        self._phase_ms = None
        self._ran = None
        self._restore(bytes(memory() or b""))

    def keep(self, state):
        """From now on the bytes `state` survive a sleep, too. ValueError beyond `state_bytes` (400)."""
        if len(state) > self.state_bytes:
            raise ValueError("%d bytes of state; %d survive a deep sleep" % (len(state), self.state_bytes))
        self.state = state

    def run(self, scheduler):
        """As `scheduler.run_forever()`, sleeping deeply in between; everything is scheduled before, at every start."""
        if self.survived:
            rebase(scheduler, self._phase_ms, self._ran)
        scheduler.wait = lambda ms: self._wait(scheduler, ms)
        scheduler.run_forever()

    def _wait(self, scheduler, ms):
        if ms < self._shortest_ms:
            self.clock.sleep(ms)
            return
        ms = min(ms, self._longest_ms)
        if self.before_sleep:
            self.before_sleep()
        # Not `now`: a task with slack may be due already and wait for the end of its window.
        ran = scheduler._tasks[0].due - 1
        rtc = self._rtc_ms() if self._rtc_ms else 0
        record = struct.pack(HEAD, b"Bo", 1, self.clock.now(), ran, ms, rtc, scheduler.phase_ms) + self.state
        self._store(record)
        self._sleep(ms)

    def _store(self, record):
        self._memory(record + struct.pack(">I", crc32(record)))

    def _restore(self, record):
        if len(record) < HEAD_BYTES + 4 or struct.unpack(">I", record[-4:])[0] != crc32(record[:-4]):
            return
        magic, version, now, ran, slept, rtc, phase_ms = struct.unpack(HEAD, record[:HEAD_BYTES])
        if magic != b"Bo" or version != 1:
            return
        slept = max(0, self._rtc_ms() - rtc) if self._rtc_ms else slept + self._boot_ms
        self.clock.advance(now + slept)
        self._ran = ran
        self._phase_ms = phase_ms
        self.state = record[HEAD_BYTES:-4]
        self.survived = True
        if self.state:
            self._store(record[:HEAD_BYTES])
