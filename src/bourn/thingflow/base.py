"""What programs import from `thingflow.base`."""

from __future__ import annotations

from bourn.thingflow.errors import (
    ExcInDispatch,
    FatalError,
    InvalidPortError,
    PortAlreadyClosed,
    ScheduleError,
    UnknownPortError,
)
from bourn.thingflow.scheduler import Scheduler
from bourn.thingflow.sources import (
    DirectOutputThingMixin,
    EventLoopOutputThingMixin,
    FunctionIteratorAsOutputThing,
    IndirectOutputThingMixin,
    IterableAsOutputThing,
    SensorAsOutputThing,
    from_func,
    from_iterable,
    from_list,
    make_sensor_event,
)
from bourn.thingflow.things import (
    CallableAsInputThing,
    Filter,
    FunctionFilter,
    InputThing,
    OutputThing,
    XformOrDropFilter,
    logger,
)
from bourn.thingflow.things import do_nothing as noop
from bourn.thingflow.threads import BlockingInputThing
from bourn.thingflow.thunks import connect_thunk as _connect_thunk
from bourn.thingflow.thunks import filtermethod
from bourn.thingflow.thunks import make_thunk as _make_thunk
from bourn.things import SensorEvent
