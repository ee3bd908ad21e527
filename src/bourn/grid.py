"""Where a device's grid lies: apart from the rest of its fleet, or in step with the wall clock."""

from bourn._compat.system import crc32

PHASES = 3600000  # ms; a fleet is spread over an hour


def phase_of(device_id):
    """A `phase_ms` for the Scheduler of this device: always the same one, and another for nearly every other id.

    Without it a thousand devices that got power at once would wake, and send, in the same instant for ever.

        Scheduler(phase_ms=phase_of("greenhouse-7"))
    """
    return crc32(device_id.encode()) % PHASES


def align(scheduler, to="wall", phase_ms=0):
    """Move the grid, once and now, to where the wall clock is a multiple of the interval, plus `phase_ms`.

    Call it when the time has been set: a task of 60 s then runs at full minutes (UTC) of the wall clock as it is now.
    Later steps of the wall clock move nothing. ValueError for another `to`.

        align(scheduler, "wall")
    """
    if to != "wall":
        raise ValueError("align to 'wall', not %r" % (to,))
    now = scheduler.clock.now()
    rebase(scheduler, now - scheduler.clock.wall() + phase_ms, now - 1)


def rebase(scheduler, phase_ms, after):
    """Move the grid to `phase_ms`; what recurs is next due at its first place there later than `after` (ms).

    rebase(scheduler, 0, scheduler.clock.now())
    """
    scheduler.phase_ms = phase_ms
    for task in scheduler._tasks[:]:
        if task.interval:
            scheduler._tasks.remove(task)
            task.due = scheduler._grid(task.interval, after + 1)
            scheduler._place(task)
