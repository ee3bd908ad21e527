"""Time for operators, which is that of their chain's source; beside the chain, for most have no timers."""


def time_of(chain):
    """The planner's time in ms."""
    return scheduler_of(chain).clock.now()


def boundary(chain, ms):
    """The first time after now, in ms, at which a task of that interval is due: the end of a time window."""
    scheduler = scheduler_of(chain)
    return scheduler._grid(ms, scheduler.clock.now() + 1)


def later(chain, ms, function):
    """Call `function()` under the chain's guard in `ms` milliseconds, unless it is detached; returns `cancel`."""

    def fire():
        chain._undo.remove(cancel)
        chain.run(function)

    def forget():
        cancel()
        if cancel in chain._undo:
            chain._undo.remove(cancel)

    # not schedule_later_one_time: on a board with single precision seconds would be some ms off within a day
    scheduler = scheduler_of(chain)
    cancel = scheduler._add(fire, 0, 0, scheduler.clock.now() + max(1, ms))
    chain._undo.append(cancel)
    return forget


def scheduler_of(chain):
    """The scheduler that observes the chain's source. RuntimeError while none does."""
    scheduler = chain.root().scheduler
    if scheduler is None:
        raise RuntimeError("an operator here needs time: let a Scheduler observe the source, or set source.scheduler")
    return scheduler
