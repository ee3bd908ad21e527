"""The module `threading`, and where a thread's last words go, for those who need them."""

import sys

from bourn._compat import print_exception


def threads():
    """The module `threading`, all of it; where there is none, or a stub, ImportError says what to do."""
    try:
        import threading

        threading.Condition  # noqa: B018 - a 15-line threading of the public index has none
    except (ImportError, AttributeError):
        raise ImportError(
            "no threads on this port, or no complete `threading`: then put Bourn's stdlib/threading.py into its /lib"
        )
    return threading


def to_stderr(e):
    """Write the traceback of `e` to stderr."""
    print_exception(e, sys.stderr)
