"""Where each public name of Bourn lives: a file, then the names in it that `bourn` gives on first use.

One string, because on a board a table of many small ones takes several times as much.
"""

HOMES = """
_compat
clock                   Clock
things                  InputThing OutputThing SensorEvent
sensor                  SensorAsOutputThing
chain                   Chain Operator each
batches                 emit_batch
scheduler               Scheduler
grid                    align phase_of
operators
operators.stateless     map where
operators.change        delta distinct_until_changed pairwise
operators.pace          debounce throttle
operators.silence       heartbeat timeout
operators.joining       combine_latest merge with_latest_from zip
operators.window        sliding tumbling
operators.grouping      group_by
operators.again         retry
asyncio_bridge          AsyncEvents AsyncSource
handover                Handover
drawing
ring
operators.outbox        outbox
wire
spool
testing
device.sender           Sender
"""
