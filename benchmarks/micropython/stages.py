"""The stages of benchmarks/dispatch.py, on both interpreters; run as a program it prints what MicroPython does.

Ours is the functions in a chain, its events emitted one by one; the limit is one function that calls them.
"""

import sys

LENGTHS = (1, 3, 10)


def increase(x):
    """For map."""
    return x + 1


def positive(x):
    """For where; always true."""
    return x > 0


def larger(a, b):
    """For scan."""
    return a if a > b else b


def sink(x):
    """Where the events go."""


def functions(stages):
    """The limit, for so many stages, as (one call for an event, one loop over all): text of constants of this file."""
    lines = []
    for i in range(stages):
        lines.append(("x = increase(x)", "if not positive(x): skip", "x = acc = larger(acc, x)")[i % 3])
    lines.append("sink(x)")
    body = "\n  ".join(lines)
    text = "acc = 0\ndef handle(x):\n  global acc\n  " + body.replace("skip", "return")
    text += "\ndef loop(events):\n acc = 0\n for x in events:\n  " + body.replace("skip", "continue") + "\n"
    scope = {"increase": increase, "positive": positive, "larger": larger, "sink": sink}
    exec(text, scope)
    return scope["handle"], scope["loop"]


def plain(stages):
    """The limit where events come one by one: a function that calls those of the stages, and nothing else."""
    handle = functions(stages)[0]

    def run(events):
        for x in events:
            handle(x)

    return run


def stages_of(stages):
    """So many of our operators."""
    import bourn

    made = []
    for i in range(stages):
        made.append((bourn.map(increase), bourn.where(positive), bourn.scan(larger, 0))[i % 3])
    return made


def chain(stages):
    """The source of a chain of so many stages."""
    import bourn

    thing = bourn.OutputThing()
    thing.pipe(*(stages_of(stages) + [sink]))
    return thing


def ours(stages):
    """The same through a chain."""
    thing = chain(stages)

    def run(events):
        for x in events:
            thing._emit(x)

    return run


def main(count, rounds):
    """Print for each of LENGTHS: the microseconds of the limit and of ours for `count` events, best of `rounds`."""
    import gc
    import time

    events = range(1, count + 1)
    for stages in LENGTHS:
        runs = (plain(stages), ours(stages))
        best = [1 << 29, 1 << 29]
        for _ in range(rounds):
            for i in (0, 1):
                gc.collect()
                began = time.ticks_us()
                runs[i](events)
                best[i] = min(best[i], time.ticks_diff(time.ticks_us(), began))
        print(stages, best[0], best[1])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
