"""What `bourn` gives on first use (names.py), for editors and type checkers; a board does not carry this file."""

from bourn import (
    asyncio_bridge,
    batches,
    chain,
    clock,
    drawing,
    grid,
    handover,
    input_thing,
    operators,
    policy,
    ports,
    ring,
    scheduler,
    sensor,
    sources,
    spool,
    testing,
    things,
    wire,
)
from bourn.asyncio_bridge import AsyncEvents, AsyncSource
from bourn.batches import emit_batch
from bourn.chain import Chain, Operator, each
from bourn.clock import Clock
from bourn.device.client import Client
from bourn.device.sender import Sender
from bourn.grid import align, phase_of
from bourn.handover import Handover
from bourn.input_thing import InputThing
from bourn.operators.accumulate import aggregate, reduce, scan
from bourn.operators.again import retry
from bourn.operators.as_json import from_json, to_json
from bourn.operators.buffer import buffer_with_count, buffer_with_time, buffer_with_time_or_count
from bourn.operators.change import delta, distinct_until_changed, pairwise
from bourn.operators.correct import calibrate, clamp
from bourn.operators.fork import compose, parallel, passthrough
from bourn.operators.grouping import group_by
from bourn.operators.joining import combine_latest, merge, with_latest_from, zip
from bourn.operators.outbox import outbox
from bourn.operators.output import output, output_count
from bourn.operators.pace import debounce, throttle
from bourn.operators.place import drop, first, last, skip, some, take, take_last
from bourn.operators.routing import dispatch
from bourn.operators.silence import heartbeat, supply_event_when_timeout, timeout
from bourn.operators.stateless import filter, map, select, tap, where
from bourn.operators.transducer import PeriodicMedianTransducer, SensorSlidingMean, Transducer, transduce
from bourn.operators.window import sliding, tumbling
from bourn.policy import Retry
from bourn.scheduler import Scheduler
from bourn.sensor import SensorAsOutputThing
from bourn.sources import FunctionAsOutputThing, IterableAsOutputThing, Never, from_func, from_iterable, from_list
from bourn.things import OutputThing, SensorEvent

__all__ = [
    "AsyncEvents",
    "AsyncSource",
    "Chain",
    "Client",
    "Clock",
    "FunctionAsOutputThing",
    "Handover",
    "InputThing",
    "IterableAsOutputThing",
    "Never",
    "Operator",
    "OutputThing",
    "PeriodicMedianTransducer",
    "Retry",
    "Scheduler",
    "Sender",
    "SensorAsOutputThing",
    "SensorEvent",
    "SensorSlidingMean",
    "Transducer",
    "aggregate",
    "align",
    "asyncio_bridge",
    "batches",
    "buffer_with_count",
    "buffer_with_time",
    "buffer_with_time_or_count",
    "calibrate",
    "chain",
    "clamp",
    "clock",
    "combine_latest",
    "compose",
    "debounce",
    "delta",
    "dispatch",
    "distinct_until_changed",
    "drawing",
    "drop",
    "each",
    "emit_batch",
    "filter",
    "first",
    "from_func",
    "from_iterable",
    "from_json",
    "from_list",
    "grid",
    "group_by",
    "handover",
    "heartbeat",
    "input_thing",
    "last",
    "map",
    "merge",
    "operators",
    "outbox",
    "output",
    "output_count",
    "pairwise",
    "parallel",
    "passthrough",
    "phase_of",
    "policy",
    "ports",
    "reduce",
    "retry",
    "ring",
    "scan",
    "scheduler",
    "select",
    "sensor",
    "skip",
    "sliding",
    "some",
    "sources",
    "spool",
    "supply_event_when_timeout",
    "take",
    "take_last",
    "tap",
    "testing",
    "things",
    "throttle",
    "timeout",
    "to_json",
    "transduce",
    "tumbling",
    "where",
    "wire",
    "with_latest_from",
    "zip",
]

__version__: str
