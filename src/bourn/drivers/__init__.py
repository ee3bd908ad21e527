"""What waits between wake-ups: a file for each way; the plain one, a blocking sleep, is `Scheduler.run_forever` itself.

A driver gives the scheduler two functions. `scheduler.wait(ms)` returns after `ms` milliseconds or earlier; the planner
looks at the clock and plans anew. `scheduler.wake()` makes a wait that is under way return at once: the scheduler calls
it when something was added or `stop` was called. All the rest stays in the planner, so every driver keeps one grid.

    wakeable      blocking, but `stop()` from a signal handler or another thread ends the wait
    thread        in a thread of its own, with `call` for everyone else's functions
    event_loop    in an asyncio loop
    light_sleep   the processor sleeps and goes on where it was
    deep_sleep    the processor is off and the program starts anew; the grid survives in RTC memory
"""
