"""Prints what passes, or how much."""

from __future__ import annotations

import sys
import traceback

from bourn.thingflow.base import OutputThing, XformOrDropFilter, filtermethod


class Output(XformOrDropFilter):
    """Prints each event, and the traceback of an error, to `file` (None: what is standard output by then)."""

    def __init__(self, previous_in_chain, file=None):
        self.file = file
        super().__init__(previous_in_chain)

    def _filter(self, x):
        print(x, file=self.file)
        return x

    def on_error(self, e):
        """Print the error and pass it on."""
        traceback.print_exception(e, file=self.file or sys.stdout)
        self._dispatch_error(e)

    def __str__(self):
        return "output()" if self.file in (None, sys.stdout) else f"output({self.file})"


@filtermethod(OutputThing)
def output(this, file=None):
    """Print each event and pass it on."""
    return Output(this, file)


class OutputCount(XformOrDropFilter):
    """Counts the events and prints a banner with the number at the end."""

    def __init__(self, previous_in_chain, file=None):
        self.file = file
        self.count = 0
        super().__init__(previous_in_chain)

    def _filter(self, x):
        self.count += 1
        return x

    def on_completed(self):
        """Print the banner and pass the end on."""
        line = f"*      {self.count} events processed      *"
        for text in ("*" * len(line), line, "*" * len(line)):
            print(text, file=self.file)
        self._dispatch_completed()


@filtermethod(OutputThing)
def output_count(this, file=None):
    """Pass events on, and print their number at the end."""
    return OutputCount(this, file)
