"""The one log of a program, which its files ask for by name: ThingFlow's way. `logger.py` has what it is made of."""

from bourn.device.logger import DEBUG, ERROR, INFO, WARNING, Logger, utc_stamp

__all__ = (
    "DEBUG",
    "ERROR",
    "INFO",
    "WARNING",
    "Logger",
    "close_logging",
    "get_logger",
    "initialize_logging",
    "utc_stamp",
)

_logger = None


def initialize_logging(filename, max_len=32000, level=INFO, interactive=False):
    """Open the program's one log; RuntimeError when there is one already."""
    global _logger  # noqa: PLW0603 - ThingFlow's programs ask the module for the one log
    if _logger is not None:
        raise RuntimeError("the log was already initialized")
    _logger = Logger(filename, max_len, level, interactive)


def get_logger():
    """The log that `initialize_logging` has opened; RuntimeError before."""
    if _logger is None:
        raise RuntimeError("the log was not yet initialized")
    return _logger


def close_logging():
    """Close the program's log; nothing happens when there is none."""
    global _logger  # noqa: PLW0603 - as above
    if _logger is not None:
        _logger.close()
        _logger = None
