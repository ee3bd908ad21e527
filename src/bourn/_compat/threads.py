"""The module `threading`, for those who need it."""


def threads():
    """The module `threading`, all of it; where there is none, or a stub, ImportError says what to do."""
    try:
        import threading

        threading.Condition  # noqa: B018 - a 15-line threading of the public index has none
    except (ImportError, AttributeError):
        raise ImportError("no complete `threading` here: put Bourn's stdlib/threading.py into the board's /lib")
    return threading
