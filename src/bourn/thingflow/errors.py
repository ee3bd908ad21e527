"""The errors that end a program of ThingFlow; every other exception is an event of some stream."""


class FatalError(Exception):
    """Ends the event loop: `run_forever` raises it, or a ScheduleError from it."""


class InvalidPortError(FatalError):
    """`connect` named a port that one of the two things does not have."""


class UnknownPortError(FatalError):
    """A thing dispatched to a port that it never had."""


class PortAlreadyClosed(FatalError):
    """A thing dispatched to a port after `on_completed` or `on_error`."""


class ExcInDispatch(FatalError):
    """An assertion failed in an input thing."""


class ScheduleError(FatalError):
    """A schedule was cancelled twice, or the scheduler was ended by an error, which is its `__cause__`."""
