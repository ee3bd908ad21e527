"""A board's clock: it knows how long it has run, and, from some moment on, what time it is.

Many boards begin without a time. Readings taken then are stamped relative to the clock's own beginning, by numbers that
no date has: RELATIVE + ms. `bourn.spool.timed` keeps them in the outbox until the time is known, and gives them theirs.
"""

from bourn._compat import const
from bourn.clock import RELATIVE, Clock

_DAY = const(86400000)  # ms
_BEGIN = const(20089)  # 2025-01-01 in days: a board that says it is earlier does not know
_END = const(47482)  # 2100-01-01: nor does who says it is later, and many a board's calendar ends soon after


class BoardClock:
    """`clock` (the machine's), whose `wall()` is right from `set` on; from the start where the machine's is plausible.

    `set_rtc(ms)`, where given, sets the machine's own clock as well, which TLS looks at for the dates of certificates.
    """

    def __init__(self, clock=None, set_rtc=None):
        self._clock = clock or Clock()
        self._set_rtc = set_rtc
        self.offset = None  # ms from `now()` to the time of day; None while that is not known
        wall = self._clock.wall()
        if _BEGIN <= wall // _DAY < _END:  # it was kept over the reset
            self.offset = wall - self._clock.now()

    def now(self):
        """As that of the machine's clock: nothing steps it."""
        return self._clock.now()

    def advance(self, ms):
        """As that of the machine's clock."""
        self._clock.advance(ms)

    def sleep(self, ms):
        """As that of the machine's clock."""
        self._clock.sleep(ms)

    def wall(self):
        """Milliseconds since 1970-01-01 UTC; while nobody knows them RELATIVE + now()."""
        return self._clock.now() + (RELATIVE if self.offset is None else self.offset)

    def set(self, wall_ms):
        """It is `wall_ms` now. ValueError for a time before 2025 or after 2099."""
        if not _BEGIN <= wall_ms // _DAY < _END:
            raise ValueError("%d ms since 1970 is no time of 2025 to 2099" % wall_ms)
        self.offset = wall_ms - self._clock.now()
        if self._set_rtc:
            self._set_rtc(wall_ms)
