"""AntEvents' names for what `bourn.thingflow.base` has: publishers, subscribers and topics.

`antevents.base` becomes `bourn.thingflow.antevents`, `antevents.linq.X` becomes `bourn.thingflow.filters.X`.
"""

from __future__ import annotations

from bourn.thingflow.base import (
    BlockingInputThing,
    CallableAsInputThing,
    DirectOutputThingMixin,
    EventLoopOutputThingMixin,
    ExcInDispatch,
    FatalError,
    FunctionFilter,
    FunctionIteratorAsOutputThing,
    IndirectOutputThingMixin,
    InputThing,
    InvalidPortError,
    IterableAsOutputThing,
    OutputThing,
    PortAlreadyClosed,
    ScheduleError,
    Scheduler,
    SensorAsOutputThing,
    SensorEvent,
    UnknownPortError,
    from_func,
    from_iterable,
    from_list,
    make_sensor_event,
    noop,
)
from bourn.thingflow.base import filtermethod as _filtermethod

DefaultSubscriber = InputThing
DirectPublisherMixin = DirectOutputThingMixin
IndirectPublisherMixin = IndirectOutputThingMixin
EventLoopPublisherMixin = EventLoopOutputThingMixin
IterableAsPublisher = IterableAsOutputThing
FunctionIteratorAsPublisher = FunctionIteratorAsOutputThing
SensorPub = SensorAsOutputThing
InvalidTopicError = InvalidPortError
UnknownTopicError = UnknownPortError
TopicAlreadyClosed = PortAlreadyClosed


class CallableAsSubscriber(CallableAsInputThing):
    """Functions as a subscriber."""

    def __init__(self, on_next=None, on_error=None, on_completed=None, topic=None):
        super().__init__(on_next, on_error, on_completed, topic)


class Publisher(OutputThing):
    """Emits events on its topics, as OutputThing does on its ports."""

    def __init__(self, topics=None):
        super().__init__(topics)

    def _dispatch_next(self, x, topic=None):
        super()._dispatch_next(x, topic)

    def _dispatch_completed(self, topic=None):
        super()._dispatch_completed(topic)

    def _dispatch_error(self, e, topic=None):
        super()._dispatch_error(e, topic)


class BlockingSubscriber(BlockingInputThing):
    """Has a thread of its own in which its `_on_next(topic, x)` and the others may block."""

    def __init__(self, scheduler, topics=None):
        super().__init__(scheduler, topics)


class Filter(FunctionFilter):
    """A filter made of functions; `dispose` disconnects it."""

    def dispose(self):
        """Receive nothing more."""
        self.disconnect_from_upstream()


def filtermethod(base, alias=None):
    """As ThingFlow's; a method of `Publisher` is one of everything that emits, sensors and filters too."""
    return _filtermethod(OutputThing if base is Publisher else base, alias)
