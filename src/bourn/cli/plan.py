"""What `bourn plan` says: how often a device wakes for a set of intervals, drawn and counted, and what its battery does.

Three ways to wake are compared by running them: Bourn's planner; a timer for each task, all started together and never
meeting except by their own multiples of nothing in common; and ThingFlow's rule as its scheduler applies it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bourn.scheduler import Scheduler

DAY_MS = 86_400_000
DRAWN_MS = 120_000
MOST_WAKES = 2_000_000  # of one simulated day; a task of 50 ms does not need more


class _Clock:
    """Stands where the simulation puts it."""

    def __init__(self) -> None:
        self.ms = 0

    def now(self) -> int:
        return self.ms

    def sleep(self, ms: int) -> None:
        self.ms += ms
