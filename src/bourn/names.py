"""Where each public name of Bourn lives: a file, then the names in it that `bourn` gives on first use.

One string, because on a board a table of many small ones takes several times as much.
"""

HOMES = """
_compat
clock                   Clock
things                  OutputThing SensorEvent
input_thing             InputThing
sensor                  SensorAsOutputThing
chain                   Chain Operator each
batches                 emit_batch
ports
sources                 FunctionAsOutputThing IterableAsOutputThing Never from_func from_iterable from_list
policy                  Retry
scheduler               Scheduler
grid                    align phase_of
operators
operators.stateless     filter map select tap where
operators.accumulate    aggregate reduce scan
operators.place         drop first last skip some take take_last
operators.correct       calibrate clamp
operators.buffer        buffer_with_count buffer_with_time buffer_with_time_or_count
operators.fork          compose parallel passthrough
operators.routing       dispatch
operators.transducer    PeriodicMedianTransducer SensorSlidingMean Transducer transduce
operators.as_json       from_json to_json
operators.output        output output_count
operators.change        delta distinct_until_changed pairwise
operators.pace          debounce throttle
operators.silence       heartbeat supply_event_when_timeout timeout
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
device.client           Client
"""


def found(name):
    """The public name or module `name` of Bourn; AttributeError where there is none."""
    for line in HOMES.strip().split("\n"):
        words = line.split()
        if name in words[1:]:
            return getattr(__import__("bourn." + words[0], None, None, (name,)), name)
        if name == words[0]:  # `from bourn import wire` asks here first on MicroPython
            return __import__("bourn." + name, None, None, (name,))
    raise AttributeError("bourn has no name " + repr(name))
