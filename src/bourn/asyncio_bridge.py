"""Flows and asyncio, on one thread: events as an async iterator, and an async iterable as a source.

Between threads put a `Handover` in front: `Handover(100, wake=lambda: loop.call_soon_threadsafe(handover.step))`.
"""

import asyncio

from bourn.ring import Ring
from bourn.things import OutputThing


class AsyncEvents:
    """The events of `thing`, for `async for`; an error of the stream is raised there, after the events before it.

    At most `bound` events wait for the loop's body; `policy` is one of `Ring`, but not "block": the one who emits is on
    the same thread and would wait for itself (ValueError). `counters["dropped"]` counts. It is connected from the
    start; `close()`, or leaving `async with`, ends that, and with it the iteration.

    `async for x in AsyncEvents(thing, 100, "drop_oldest"): ...`
    """

    def __init__(self, thing, bound=None, policy="drop_oldest"):
        if policy == "block":
            raise ValueError("policy: asyncio's thread cannot wait for itself; drop, or hand over between threads")
        self._ring = Ring(bound, policy)
        self._come = asyncio.Event()
        self._over = False
        self._error = None
        self._disconnect = thing.connect(self)

    @property
    def counters(self):
        """{"dropped": how many the policy has dropped, "waiting": how many wait now}."""
        return {"dropped": self._ring.dropped, "waiting": self._ring.count}

    def on_next(self, x):
        """Keep `x` for the iteration."""
        self._ring.put(x)
        self._come.set()

    def on_completed(self):
        """The iteration ends after what is waiting."""
        self.on_error(None)

    def on_error(self, e):
        """The iteration raises `e` after what is waiting."""
        self._over = True
        self._error = e
        self._come.set()

    def close(self):
        """Disconnect; what waits is dropped and counted, and the iteration ends."""
        self._disconnect()
        self._ring.clear()
        self.on_error(None)

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._ring.count:
            if self._over:
                error, self._error = self._error, None  # once: after it the iteration is over
                if error is not None:
                    raise error
                raise StopAsyncIteration
            self._come.clear()
            await self._come.wait()
        return self._ring.take()

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        self.close()


class AsyncSource(OutputThing):
    """Emits what an async iterable yields, while `run()` is awaited.

    `task = asyncio.create_task(AsyncSource(lines()).run())`
    """

    def __init__(self, iterable):
        super().__init__()
        self._iterable = iterable

    async def run(self):
        """Emit until the iterable ends (`on_completed`) or raises (`on_error`); cancelling it tells nobody."""
        try:
            async for x in self._iterable:
                self._emit(x)
        except Exception as e:
            self._dispatch_error(e)
        else:
            self._dispatch_completed()
