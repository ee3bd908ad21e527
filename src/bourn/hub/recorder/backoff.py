"""How long to wait after a failure: capped, fully jittered, never shorter than the other side asked for."""

from __future__ import annotations

import random
from typing import NamedTuple

LONGEST_ASKED_S = 86400  # of a Retry-After: a day


class Backoff(NamedTuple):
    """After the n-th failure in a row anything from 0 to min(cap, base * 2^n) seconds, all equally likely.

    A crowd of devices that lost the same network thus does not come back at the same moment. What cannot be mended by
    waiting a little (`permanent`: no permission, no bucket) waits from half of `permanent_s` to all of it.
    """

    base_s: float = 1.0
    cap_s: float = 600.0
    permanent_s: float = 3600.0

    def pause_ms(self, failures: int, asked_s: float | None, permanent: bool, rng: random.Random) -> int:
        """Milliseconds to wait after that many failures in a row (1: the first); `asked_s`: a Retry-After."""
        if permanent:
            pause = self.permanent_s * rng.uniform(0.5, 1)
        else:
            pause = rng.uniform(0, min(self.cap_s, self.base_s * 2.0 ** min(failures, 60)))
        if asked_s is not None:
            asked = min(asked_s, LONGEST_ASKED_S)
            pause = max(pause, asked * rng.uniform(1, 1.1))
        return max(1, int(pause * 1000))

    def bounded(self, at: int, now: int) -> int:
        """A persisted time as it may be trusted: when somebody set the wall clock back, no wait grows by that."""
        return min(at, now + int(max(self.cap_s, self.permanent_s, LONGEST_ASKED_S * 1.1) * 1000))
