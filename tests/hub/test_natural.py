"""Names in the order that people expect."""

import random

from bourn.hub.natural import natural_key


def test_numbers_count_as_numbers() -> None:
    names = ["s1", "s2", "s10", "s010", "S11", "s100", "t", "t-2-9", "t-2-10", "t-10", "x" + "9" * 5000]
    mixed = random.Random(1).sample(names, len(names))
    assert sorted(mixed, key=natural_key) == [
        "s1",
        "s2",
        "s010",
        "s10",
        "S11",
        "s100",
        "t",
        "t-2-9",
        "t-2-10",
        "t-10",
        names[-1],
    ]


def test_every_two_names_can_be_compared_and_differ(seed: int) -> None:
    chance = random.Random(seed)
    names = {"".join(chance.choices("s0٣19.A²a", k=chance.randint(0, 5))) for _ in range(500)}
    ordered = sorted(names, key=natural_key)
    assert len(set(map(natural_key, names))) == len(names)
    assert sorted(names, key=natural_key, reverse=True)[::-1] == ordered
