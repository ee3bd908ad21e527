"""`from_func` emits one value too many: the condition is asked before the step, not after it."""

from thingflow.base import Scheduler, from_func
from virtual import Loop, Show

EXPECTED = """
f 0
f 2
f 4
f completed
"""

thing = from_func(0, lambda x: x < 3, lambda x: x + 1, lambda x: x * 2)
thing.connect(Show("f"))
scheduler = Scheduler(Loop())
scheduler.schedule_recurring(thing)
scheduler.run_forever()
