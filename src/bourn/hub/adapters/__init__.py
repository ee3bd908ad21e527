"""Adapters: things that read from, and write to, what is outside of Bourn; each library is imported in one file only.

A writer is a sink: `thing.pipe(..., writer)`. It writes on `on_next`, flushes and closes on `on_completed` and
`on_error`, and counts what it could not write. A reader is an OutputThing that a scheduler observes
(`schedule_periodic(reader, s)`), or that is given events by a thread of its own.

An event is a SensorEvent unless a mapping says otherwise: an object with `header` (a list of column names),
`to_row(event)` and `to_event(row)`. `ts` is integer milliseconds since 1970 UTC.
"""
