"""A blocking input thing with several ports gets every event on the last one."""

import asyncio

from thingflow.base import BlockingInputThing, InputThing, OutputThing, Scheduler, from_list

EXPECTED = """
left 1
right 2
left 3
completed left
completed right
"""


class Writer(BlockingInputThing):
    def __init__(self, scheduler):
        super().__init__(scheduler, ports=["left", "right"])

    def _on_next(self, port, x):
        print(port, x)

    def _on_completed(self, port):
        print("completed", port)


class Split(OutputThing, InputThing):
    def __init__(self):
        super().__init__(ports=["odd", "even"])

    def on_next(self, x):
        self._dispatch_next(x, port="odd" if x % 2 else "even")

    def on_completed(self):
        self._dispatch_completed(port="odd")
        self._dispatch_completed(port="even")


loop = asyncio.new_event_loop()
scheduler = Scheduler(loop)
writer = Writer(scheduler)
source = from_list([1, 2, 3])
split = Split()
source.connect(split)
split.connect(writer, port_mapping=("odd", "left"))
split.connect(writer, port_mapping=("even", "right"))
scheduler.schedule_recurring(source)
scheduler.run_forever()
loop.close()
