"""What a sink may be made from; anything with `on_next`, and any callable, is one as well."""

import sys

import bourn._compat as _compat  # noqa: PLR0402 - MicroPython loads names.py for `from bourn`: 2.5 KB


class InputThing:
    """Receives events; override what you need."""

    def on_next(self, x):
        """Take one event."""

    def on_completed(self):
        """The stream has ended; nothing comes after."""

    def on_error(self, e):
        """The stream has ended with the exception `e`; by default its traceback goes to stderr."""
        _compat.print_exception(e, sys.stderr)
