"""A scheduler in an asyncio loop, CPython's or MicroPython's."""

import asyncio

from bourn.clock import LONGEST_SLEEP_MS


async def run(scheduler):
    """Run what is due beside the loop's other tasks, until nothing is scheduled or `stop` was called.

    Functions are called in the loop's thread and must not block. Coroutines of the same loop may add, cancel and stop
    at any time. On CPython `stop` works from other threads, too; MicroPython's asyncio has nothing for that.

        await asyncio.gather(event_loop.run(scheduler), server())
    """
    changed = asyncio.Event()
    loop = asyncio.get_event_loop()
    if hasattr(loop, "call_soon_threadsafe"):
        scheduler.wake = lambda: loop.call_soon_threadsafe(changed.set)
    else:
        scheduler.wake = changed.set
    try:
        while not scheduler._stopped:
            wake = scheduler.next_wake()
            if wake is None:
                break
            pause = wake - scheduler.clock.now()
            try:
                await asyncio.wait_for(changed.wait(), max(0, min(pause, LONGEST_SLEEP_MS)) / 1000)
            except asyncio.TimeoutError:  # noqa: UP041 - MicroPython has no other name for it
                changed.clear()
            changed.clear()
            if not scheduler._stopped:
                scheduler.run_due(scheduler.clock.now())
        scheduler._stopped = False
    finally:
        scheduler.wake = lambda: None
