"""Things that block, and loops of their own. Real threads; the program itself never waits for the clock."""

import asyncio
import threading

from thingflow.base import (
    BlockingInputThing,
    EventLoopOutputThingMixin,
    FatalError,
    IterableAsOutputThing,
    OutputThing,
    Scheduler,
)
from virtual import Show

main = threading.current_thread()
loop = asyncio.new_event_loop()


class Writer(BlockingInputThing):
    def _on_next(self, port, x):
        print("writer", port, x, threading.current_thread() is main)

    def _on_completed(self, port):
        print("writer completed", port)

    def _close(self):
        print("writer closed")


class Loop(OutputThing, EventLoopOutputThingMixin):
    def __init__(self, error=None):
        super().__init__()
        self.go_on = threading.Event()
        self.error = error

    def _observe_event_loop(self):
        print("loop in the main thread:", threading.current_thread() is main)
        for i in range(3):
            self._dispatch_next(i)
        if self.error:
            raise self.error
        self.go_on.wait()
        self._dispatch_completed()

    def _stop_loop(self):
        self.go_on.set()


class StopAt:
    def __init__(self, stop):
        self.stop = stop

    def on_next(self, x):
        print("stop", x, threading.current_thread() is main)
        if x == 2:
            self.stop()

    def on_completed(self):
        print("stop completed")

    def on_error(self, e):
        print("stop error", e)


class InMainLoop(Loop):
    def __init__(self, scheduler):
        super().__init__()
        self.scheduler = scheduler
        self.left = 3

    def _observe_event_loop(self):
        self._dispatch_next(self.left)
        self.left -= 1
        if self.left and not self.go_on.is_set():
            self.scheduler.event_loop.call_soon(self._observe_event_loop)
        else:
            self._dispatch_completed()
            self.scheduler._remove_from_active_schedules(self)


scheduler = Scheduler(loop)
source = IterableAsOutputThing(iter("abc"))
source.connect(Writer(scheduler))
scheduler.schedule_recurring(source)
scheduler.run_forever()

scheduler = Scheduler(loop)
thing = Loop()
thing.connect(StopAt(scheduler.schedule_on_private_event_loop(thing)))
scheduler.run_forever()

scheduler = Scheduler(loop)
thing = Loop(FatalError("private"))
thing.connect(Show("private"))
scheduler.schedule_on_private_event_loop(thing)
try:
    scheduler.run_forever()
except FatalError as e:
    print("ended by", type(e).__name__)

scheduler = Scheduler(loop)
thing = InMainLoop(scheduler)
thing.connect(Show("main"))
scheduler.schedule_on_main_event_loop(thing)
scheduler.run_forever()

loop.close()
