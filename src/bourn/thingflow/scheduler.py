"""ThingFlow's Scheduler on an asyncio loop, with Bourn's planner: one grid for all periods, no drift, no burst.

Invariant: `active_schedules` holds whatever keeps the loop running, with what ends it: an object with `cancel()`, or a
function. When its last entry has gone and none has come by the loop's next turn, the loop stops.
"""

from __future__ import annotations

import logging
import threading

from bourn.scheduler import Scheduler as Planner
from bourn.thingflow.errors import FatalError, ScheduleError
from bourn.thingflow.sources import SensorAsOutputThing, make_sensor_event
from bourn.thingflow.threads import ThreadForBlockingOutputThing
from bourn.thingflow.thunks import connect_sequence

logger = logging.getLogger("bourn.thingflow")

LEAST_S = 0.001  # the planner's unit


class _LoopClock:
    """The loop's time as the planner's: integer milliseconds, 1 when the scheduler was made.

    Not 0, which is on every grid: what is scheduled at once is due after one interval, as in ThingFlow.
    """

    def __init__(self, loop):
        self._loop = loop
        self._start = loop.time()

    def now(self):
        return int((self._loop.time() - self._start) * 1000) + 1

    def at(self, ms):
        """The loop's time at `ms`: a little late, so that the planner finds it due."""
        return self._start + (ms - 1) / 1000 + 0.0001


class _Schedule:
    """One thing's entry; `end` is what takes it away from where it waits."""

    def __init__(self, end):
        self._end = end
        self.cancelled = False

    def cancel(self):
        self.cancelled = True
        self._end()


class Scheduler:
    """Observes things on `event_loop`; `run_forever` returns when nothing is scheduled any more."""

    def __init__(self, event_loop):
        self.event_loop = event_loop
        self.active_schedules = {}
        self.pending_futures = {}
        self.fatal_error = None
        self._next_future = 1
        self._clock = _LoopClock(event_loop)
        self._planner = Planner(self._clock, wait=lambda ms: None)  # waiting is the loop's
        self._alarm = None
        event_loop.set_exception_handler(self._on_exception)

    # -- in the loop's thread

    def schedule_periodic(self, output_thing, interval):
        """Observe every `interval` seconds, on the grid that all periods share, until it has no connections."""
        if interval < LEAST_S:
            return self.schedule_recurring(output_thing)
        cancel = self._planner.schedule_recurring(lambda: self._observe(output_thing), interval)
        return self._add(output_thing, cancel)

    def schedule_recurring(self, output_thing):
        """Observe once in every turn of the loop, until it has no connections: for what is there without waiting."""
        handle = None

        def observe():
            nonlocal handle
            handle = self.event_loop.call_soon(observe)
            self._guarded(self._observe, output_thing)

        handle = self.event_loop.call_soon(observe)

        def end():
            handle.cancel()

        return self._add(output_thing, end)

    def schedule_later_one_time(self, output_thing, interval):
        """Observe once, in `interval` seconds."""

        def observe():
            self._remove_from_active_schedules(output_thing)
            output_thing._observe()

        cancel = self._planner.schedule_later_one_time(observe, max(interval, LEAST_S))
        return self._add(output_thing, cancel)

    def schedule_sensor(
        self, sensor, interval, *input_thing_sequence, make_event_fn=make_sensor_event, print_downstream=False
    ):
        """Sample `sensor` every `interval` seconds into the sequence of thunks and input things."""
        thing = SensorAsOutputThing(sensor, make_event_fn=make_event_fn)
        connect_sequence(thing, input_thing_sequence)
        if print_downstream:
            thing.print_downstream()
        return self.schedule_periodic(thing, interval)

    def schedule_on_main_event_loop(self, output_thing):
        """Call its `_observe_event_loop` in this loop; at its end it must call `_remove_from_active_schedules`."""

        def stop():
            output_thing._stop_loop()

        self.active_schedules[output_thing] = stop
        self.event_loop.call_soon(output_thing._observe_event_loop)
        return stop

    # -- in threads of their own

    def schedule_on_private_event_loop(self, output_thing):
        """Run its `_observe_event_loop` in a thread; what it dispatches is carried to this loop."""

        def run():
            output_thing._schedule(enqueue_fn=self.event_loop.call_soon_threadsafe)
            try:
                output_thing._observe_event_loop()
            except Exception as e:
                self._ended_in_thread(output_thing, e, "Event loop")
            else:
                self._ended_in_thread(output_thing)

        self.active_schedules[output_thing] = output_thing._stop_loop
        self.event_loop.call_soon(threading.Thread(target=run).start)
        return output_thing._stop_loop

    def schedule_periodic_on_separate_thread(self, output_thing, interval):
        """Observe every `interval` seconds in a thread: for things that block."""
        thread = ThreadForBlockingOutputThing(output_thing, interval, self)
        self.active_schedules[output_thing] = thread._stop_loop
        self.event_loop.call_soon(thread.start)
        return thread._stop_loop

    def schedule_sensor_on_separate_thread(
        self, sensor, interval, *input_thing_sequence, make_event_fn=make_sensor_event
    ):
        """As schedule_sensor, for a sensor whose `sample()` blocks."""
        thing = SensorAsOutputThing(sensor, make_event_fn=make_event_fn)
        connect_sequence(thing, input_thing_sequence)
        return self.schedule_periodic_on_separate_thread(thing, interval)

    # -- running

    def run_forever(self):
        """Run the loop until nothing is scheduled or `stop` was called. ScheduleError from what ended it otherwise."""
        try:
            self.event_loop.run_forever()
        except KeyboardInterrupt:
            logger.warning("Active OutputThings: %s", ", ".join(map(str, self.active_schedules)))
            raise
        fatal, self.fatal_error = self.fatal_error, None
        if fatal is not None:
            raise ScheduleError(f"Scheduler aborted due to fatal error: {fatal}") from fatal

    def stop(self):
        """End every schedule, then the loop, when the coroutines under way are done."""
        schedules, self.active_schedules = self.active_schedules, {}
        for end in schedules.values():
            getattr(end, "cancel", end)()
        for future in self.pending_futures.values():
            if not future.done():
                future.add_done_callback(lambda f: self.stop())
                return
        self.event_loop.stop()

    # -- for things that know the scheduler

    def _remove_from_active_schedules(self, output_thing):
        """Called in the loop's thread when `output_thing` is done."""
        schedule = self.active_schedules.pop(output_thing, None)
        if isinstance(schedule, _Schedule):
            schedule.cancel()
        # Not at once: what is being removed may be scheduled again by who removes it.
        self.event_loop.call_soon(self._stop_if_idle)

    def _schedule_coroutine(self, coro, done_callback):
        """Run `coro`; `stop` waits for it, and an exception in it is fatal."""
        number, self._next_future = self._next_future, self._next_future + 1
        future = self.pending_futures[number] = self.event_loop.create_task(coro)

        def done(f):
            try:
                done_callback(f)
            finally:
                del self.pending_futures[number]

        future.add_done_callback(done)
        return future

    # -- inside

    def _add(self, thing, end):
        if thing in self.active_schedules:
            end()
            raise ScheduleError(f"OutputThing {thing} is scheduled already")
        schedule = self.active_schedules[thing] = _Schedule(end)
        thing._schedule(enqueue_fn=None)
        self._arm()

        def cancel():
            if self.active_schedules.get(thing) is not schedule:
                raise ScheduleError(
                    f"Attempt to de-schedule OutputThing {thing}, which does not have an active schedule"
                )
            self._remove_from_active_schedules(thing)

        return cancel

    def _observe(self, thing):
        schedule = self.active_schedules.get(thing)
        thing._observe()
        if schedule is not None and self.active_schedules.get(thing) is schedule and not thing._has_connections():
            self._remove_from_active_schedules(thing)

    def _stop_if_idle(self):
        if not self.active_schedules:
            logger.info("No more active schedules, will exit event loop")
            self.stop()

    def _arm(self):
        """Wake when the planner wants to."""
        if self._alarm is not None:
            self._alarm.cancel()
        wake = self._planner.next_wake()
        self._alarm = None if wake is None else self.event_loop.call_at(self._clock.at(wake), self._ring)

    def _ring(self):
        self._guarded(self._planner.run_due, self._clock.now())
        self._arm()

    def _guarded(self, function, *args):
        try:
            function(*args)
        except Exception as e:
            self._fail(e)

    def _fail(self, e):
        self.fatal_error = self.fatal_error or e
        self.stop()

    def _on_exception(self, loop, context):
        self._fail(context.get("exception") or FatalError(context["message"]))

    def _ended_in_thread(self, thing, error=None, what=""):
        """Called in a thread that is about to end: tell the loop."""

        def tell():
            if error is None:
                self._remove_from_active_schedules(thing)
                return
            self.active_schedules.pop(thing, None)
            raise ScheduleError(f"{what} for {thing} exited with error: {error}") from error

        if error is not None:
            logger.error("%s for %s exited with error", what, thing, exc_info=error)
        self.event_loop.call_soon_threadsafe(tell)
