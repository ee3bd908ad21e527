"""Sensors that need no hardware: for trying things out and for tests."""

import random

from bourn._compat.system import random_bytes


def random_integer(options: dict):
    """A probe of random integers from `low` (-100) to `high` (100); `seed` makes them the same each time."""
    low = options.get("low", -100)
    high = options.get("high", 100)
    seed = options.get("seed")
    # the board's own generator begins the same after each reset, so it is seeded
    random.seed(int.from_bytes(random_bytes(4), "big") >> 2 if seed is None else seed)
    if hasattr(random, "randint"):
        return lambda: random.randint(low, high)
    return lambda: low + random.getrandbits(30) % (high - low + 1)  # an ESP8266 has no more than that


def counter(options: dict):
    """A probe that counts from 1."""
    count = [options.get("start", 1) - 1]

    def sample():
        count[0] += 1
        return count[0]

    return sample


def wave(options: dict):
    """A probe of a sine with `steps` (60) samples per turn, rounded to three places."""
    from math import pi, sin

    steps = options.get("steps", 60)
    count = [0]

    def sample():
        count[0] += 1
        return round(sin(2 * pi * count[0] / steps), 3)

    return sample
