"""asyncio in and out: order, bounds, policies, ends; on every interpreter that has asyncio."""

import asyncio

from bourn import AsyncEvents, AsyncSource, OutputThing, map
from bourn.testing import Recorder


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as e:
        return e
    raise AssertionError("no %s" % kind.__name__)


class Numbers:
    """An async iterable that yields to the loop before each number, then ends or raises."""

    def __init__(self, count, error=None):
        self.left = list(range(count))
        self.error = error

    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        if self.left:
            return self.left.pop(0)
        if self.error:
            raise self.error
        raise StopAsyncIteration


async def collected(events):
    """All that an iteration gives, and the exception that ends it."""
    found = []
    try:
        async for x in events:
            found.append(x)
    except ValueError as e:
        return found, e
    return found, None


def test_what_is_emitted_is_iterated_over():
    async def main():
        thing = OutputThing()
        events = AsyncEvents(thing, 10, "drop_oldest")
        task = asyncio.create_task(collected(events))
        for x in range(3):
            thing._dispatch_next(x)
            await asyncio.sleep(0)
        thing._dispatch_next(3)
        thing._dispatch_next(4)
        thing._dispatch_completed()
        assert await task == ([0, 1, 2, 3, 4], None)
        assert events.counters == {"dropped": 0, "waiting": 0}
        assert await collected(events) == ([], None)

    asyncio.run(main())


def test_what_comes_too_fast_is_dropped_by_policy():
    async def main():
        for policy, bound, kept in (
            ("drop_oldest", 3, [3, 4, 5]),
            ("drop_newest", 3, [1, 2, 3]),
            ("keep_latest", None, [5]),
        ):
            thing = OutputThing()
            events = AsyncEvents(thing, bound, policy)
            for x in range(1, 6):
                thing._dispatch_next(x)
            assert events.counters == {"dropped": 5 - len(kept), "waiting": len(kept)}
            thing._dispatch_completed()
            assert await collected(events) == (kept, None), policy

    asyncio.run(main())
    raises(ValueError, AsyncEvents, OutputThing(), 3, "block")
    raises(ValueError, AsyncEvents, OutputThing())


def test_an_error_is_raised_after_the_events_before_it():
    async def main():
        thing, error = OutputThing(), ValueError("over")
        events = AsyncEvents(thing, 5)
        thing._dispatch_next(1)
        thing._dispatch_error(error)
        assert await collected(events) == ([1], error)
        assert await collected(events) == ([], None)

    asyncio.run(main())


def test_leaving_it_disconnects():
    async def main():
        thing = OutputThing()
        async with AsyncEvents(thing, 5) as events:
            thing._dispatch_next(1)
            thing._dispatch_next(2)
            async for x in events:
                assert x == 1
                break
        assert thing._branches == ()
        assert events.counters == {"dropped": 1, "waiting": 0}
        assert await collected(events) == ([], None)

    asyncio.run(main())


def test_closing_ends_who_waits():
    async def main():
        events = AsyncEvents(OutputThing(), 5)
        task = asyncio.create_task(collected(events))
        for _ in range(3):
            await asyncio.sleep(0)
        events.close()
        assert await task == ([], None)

    asyncio.run(main())


def test_an_async_iterable_is_a_source():
    async def main():
        for error in (None, ValueError("over")):
            source, sink = AsyncSource(Numbers(3, error)), Recorder()
            source.pipe(map(lambda x: x * 10), sink)
            await source.run()
            assert (sink.events, sink.end) == ([0, 10, 20], error or "completed")

    asyncio.run(main())


def test_cancelling_a_source_tells_nobody():
    class Never(Numbers):
        async def __anext__(self):
            await asyncio.sleep(1000)

    async def main():
        source, sink = AsyncSource(Never(0)), Recorder()
        source.connect(sink)
        task = asyncio.create_task(source.run())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            assert sink.end is None
            return
        raise AssertionError("not cancelled")

    asyncio.run(main())


def test_in_and_out_again():
    async def main():
        source = AsyncSource(Numbers(20))
        events = AsyncEvents(source.pipe(map(lambda x: -x)), 20)
        task = asyncio.create_task(source.run())
        found, end = await collected(events)
        await task
        assert (found, end) == ([-x for x in range(20)], None)

    asyncio.run(main())
