"""Light sleep between wake-ups: memory and program stay, the processor stops."""

LONGEST_MS = 3600000  # some boards can't sleep longer at once (RP2: 71 minutes)


class LightSleep:
    """A wait for the Scheduler that sleeps by `sleep(ms)`, which is `machine.lightsleep` on a board.

    Not every port's tick counter goes on meanwhile. Where it stands still (STM32), say `counter_stands=True`: the time
    asked for counts as slept; or better, give `rtc_ms`, a function whose milliseconds do go on, and early wake-ups (a
    pin, a radio) are measured as well. Below `shortest_ms` an ordinary sleep costs less.

        clock = Clock(); Scheduler(clock, wait=LightSleep(clock, machine.lightsleep).wait)
    """

    def __init__(self, clock, sleep, counter_stands=False, rtc_ms=None, shortest_ms=10):
        self.clock = clock
        self._sleep = sleep
        self._counter_stands = counter_stands
        self._rtc_ms = rtc_ms
        self._shortest_ms = shortest_ms

    def wait(self, ms):
        """Sleep for `ms` milliseconds, or less; the clock shows afterwards what has passed."""
        if ms < self._shortest_ms:
            self.clock.sleep(ms)
            return
        ms = min(ms, LONGEST_MS)
        before = self.clock.now()
        rtc = self._rtc_ms() if self._rtc_ms else 0
        self._sleep(ms)
        if self._rtc_ms:
            ms = self._rtc_ms() - rtc
        if self._rtc_ms or self._counter_stands:
            self.clock.advance(max(0, ms - (self.clock.now() - before)))
